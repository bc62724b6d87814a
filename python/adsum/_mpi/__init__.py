"""What adsum.MPI is made of, by noun."""
