// Intel ISA-L under the same load as kernel.ts, for comparison: 4+8 in memory, best and median of some rounds.
// Prints one line for each operation: name, best ms, median ms, FNV-1a of the result.

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

// As isa-l/erasure_code.h declares them, so that the library is enough and its headers are not needed.
void ec_init_tables(int k, int rows, unsigned char *a, unsigned char *gftbls);
void ec_encode_data(int len, int k, int rows, unsigned char *gftbls, unsigned char **data, unsigned char **coding);

enum { K = 4, M = 8, N = K + M };

static unsigned char *fragments[N];
static size_t fragment_bytes;
static int round_count;

static double now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void measure(const char *name, int input_count, unsigned char *tables, unsigned char **inputs, int output_count, unsigned char **outputs) {
  double *ms = malloc(round_count * sizeof *ms);
  for (int round = 0; round < round_count; round++) {
    double start = now_ms();
    ec_encode_data((int)fragment_bytes, input_count, output_count, tables, inputs, outputs);
    ms[round] = now_ms() - start;
  }
  qsort(ms, round_count, sizeof *ms, ascending);
  uint32_t hash = 2166136261u;
  for (int i = 0; i < output_count; i++)
    for (size_t b = 0; b < fragment_bytes; b += 61) hash = (hash ^ outputs[i][b]) * 16777619u;
  printf("%s %.4f %.4f %08x\n", name, ms[0], ms[round_count / 2], hash);
  free(ms);
}

// Arguments: fragment bytes, rounds, then on standard input the 8×4 parity matrix and the 4×4 matrix from the last four
// fragments back to data, as hexadecimal digits.
int main(int argc, char **argv) {
  if (argc != 3) return 2;
  fragment_bytes = strtoul(argv[1], NULL, 10);
  round_count = atoi(argv[2]);
  unsigned char parity_matrix[M * K], decode_matrix[K * K], tables[32 * K * M];
  unsigned int value;
  for (int i = 0; i < M * K; i++) { if (scanf("%2x", &value) != 1) return 2; parity_matrix[i] = value; }
  for (int i = 0; i < K * K; i++) { if (scanf("%2x", &value) != 1) return 2; decode_matrix[i] = value; }

  unsigned char *memory = aligned_alloc(4096, N * fragment_bytes);
  if (!memory) return 1;
  for (int i = 0; i < N; i++) fragments[i] = memory + i * fragment_bytes;
  uint32_t x = 1;
  for (size_t b = 0; b < K * fragment_bytes; b++) { x = x * 1664525u + 1013904223u; memory[b] = x >> 24; }

  ec_init_tables(K, M, parity_matrix, tables);
  measure("encode", K, tables, fragments, M, fragments + K);
  for (int lost = 1; lost <= K; lost *= 2) {
    char name[16];
    snprintf(name, sizeof name, "rebuild%d", lost);
    ec_init_tables(K, lost, decode_matrix, tables);
    measure(name, K, tables, fragments + N - K, lost, fragments);
  }
  return 0;
}
