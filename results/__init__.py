"""What came out: records, the Parquet of a study, the paper's numbers, tables and figures."""
