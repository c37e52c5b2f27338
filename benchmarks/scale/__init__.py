"""The parts of `benchmarks/scale.py`: one file a question, each measured in processes of its own."""
