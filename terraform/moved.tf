# What these modules were called until November 2026: a stage deployed before is kept as it is.

moved {
  from = module.process_kinesis_records
  to   = module.function["ProcessKinesisRecords"]
}

moved {
  from = module.aggregate_scores_by_user
  to   = module.function["AggregateScoresByUser"]
}

moved {
  from = module.stream_trigger
  to   = module.event_source_mapping["ProcessKinesisRecords"]
}

moved {
  from = module.records_trigger
  to   = module.event_source_mapping["AggregateScoresByUser"]
}

moved {
  from = module.score_records
  to   = module.table["GameScoreRecords"]
}

moved {
  from = module.score_ledger
  to   = module.table["GameScoreLedger"]
}

moved {
  from = module.scores_by_user
  to   = module.table["GameScoresByUser"]
}

moved {
  from = module.failure_store
  to   = module.on_failure_bucket
}
