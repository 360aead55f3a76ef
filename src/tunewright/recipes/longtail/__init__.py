"""Long-tailed picture classification: ColorNet-V1, its fusions, and losses for rare classes."""
