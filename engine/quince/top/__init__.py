"""`quince top`: processes, workers, queues, limits and schedules in a terminal, live, and under control."""
