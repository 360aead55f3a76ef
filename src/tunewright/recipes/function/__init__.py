"""Any Python function as a workload: parameters in, a score out."""
