/* What examples/all_reduce.rs does, by MPI_Allreduce: the same sizes, data, rules and
 * columns. */

#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CALLS_MAX = 2000, COLD = 3 };
static const double LEAST_S = 0.4;
static const size_t SIZES[] = {8, 64, 512, 4 << 10, 32 << 10, 256 << 10, 1 << 20, 8 << 20, 64 << 20};

static float value(int rank, size_t index) {
  return (float)((index * 7 + (size_t)rank * 13) % 1000);
}

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

int main(int argc, char **argv) {
  int rank, size;
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  if (rank == 0) printf("bytes us algbw_gb_per_s busbw_gb_per_s wrong\n");
  for (size_t s = 0; s < sizeof SIZES / sizeof *SIZES; s++) {
    size_t bytes = SIZES[s], count = bytes / sizeof(float);
    float *own = malloc(bytes), *right = malloc(bytes), *data = malloc(bytes);
    for (size_t i = 0; i < count; i++) {
      own[i] = value(rank, i);
      right[i] = 0;
      for (int r = 0; r < size; r++) right[i] += value(r, i);
    }
    static double times[CALLS_MAX], slowest[CALLS_MAX];
    int calls = 0, enough = 0;
    unsigned long wrong = 0, all_wrong;
    double begun = MPI_Wtime();
    while (!enough) {
      memcpy(data, own, bytes);
      MPI_Barrier(MPI_COMM_WORLD);
      double start = MPI_Wtime();
      MPI_Allreduce(MPI_IN_PLACE, data, (int)count, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
      times[calls++] = (MPI_Wtime() - start) * 1e6;
      for (size_t i = 0; i < count; i++) wrong += data[i] != right[i];
      enough = calls >= 2 * COLD && (MPI_Wtime() - begun > LEAST_S || calls >= CALLS_MAX);
      MPI_Bcast(&enough, 1, MPI_INT, 0, MPI_COMM_WORLD);
    }
    calls -= COLD;
    MPI_Allreduce(times + COLD, slowest, calls, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
    MPI_Allreduce(&wrong, &all_wrong, 1, MPI_UNSIGNED_LONG, MPI_SUM, MPI_COMM_WORLD);
    qsort(slowest, (size_t)calls, sizeof *slowest, by_size);
    if (rank == 0) {
      double us = slowest[calls / 2], rate = (double)bytes / us / 1e3;
      printf("%zu %.1f %.3f %.3f %lu\n", bytes, us, rate, rate * 2 * (size - 1) / size, all_wrong);
    }
    free(own);
    free(right);
    free(data);
  }
  MPI_Finalize();
  return 0;
}
