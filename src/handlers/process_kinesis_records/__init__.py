"""ProcessKinesisRecords: decodes and logs every payload of Demo-Stream."""
