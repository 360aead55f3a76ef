"""Any script as a workload: its arguments are the parameters, what it prints are the metrics."""
