"""Event source mappings of Kinesis and DynamoDB Streams as AWS runs them, over any cloud with their APIs.

    mapping, record, response, delivery, invocation_record    what AWS documents, as pure functions and values
    ports                                                     what the engine asks of what surrounds it
    supervisor -> runner -> shard -> batch_processor          mappings, their shards, and batches in flight
    aws, sources, state_files, status                         the ports over boto3, files and a log

`make failures` and `make redrive` use record, response, delivery and invocation_record too, so that a stage on AWS and
the local cloud cannot disagree about them.

Time is the event loop's: every wait goes through asyncio, so a simulation with a virtual loop runs the
same code.
"""
