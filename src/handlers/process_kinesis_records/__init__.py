"""ProcessKinesisRecords: logs every payload of Demo-Stream, and stores those that are score events."""
