"""The results of a study: its rows in Parquet, their statistics, and the report made of them."""
