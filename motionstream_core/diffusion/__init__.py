"""Rectified flow: noise schedules, the flow's algebra, joint text and motion guidance, samplers."""
