"""Code generation: schedules as LLVM instructions over whole vectors."""
