/*
 * What the load generators measure alike: time, latencies in a histogram, and the CPU and memory of
 * the processes under test. Included once by each; no state is shared between programs.
 */
#ifndef MEASURE_H
#define MEASURE_H
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PIDS_MAX = 32 };
enum { SUB_BITS = 6, SUB = 1 << SUB_BITS, BUCKETS = 58 * SUB };

static uint64_t histogram[BUCKETS], latency_max, done;

static uint64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000ull + (uint64_t)time.tv_nsec;
}

static void die(const char *what) {
  perror(what);
  exit(2);
}

/* ---- histogram: SUB buckets per power of two, below 1.6 % error ---- */

static int bucket_of(uint64_t value) {
  if (value < SUB) return (int)value;
  int shift = 63 - __builtin_clzll(value) - SUB_BITS;
  int index = (shift + 1) * SUB + (int)((value >> shift) - SUB);
  return index < BUCKETS ? index : BUCKETS - 1;
}

static double value_of(int bucket) {
  if (bucket < SUB) return bucket;
  int shift = bucket / SUB - 1;
  uint64_t low = (uint64_t)(SUB + bucket % SUB) << shift;
  return (double)low + (double)((1ull << shift) >> 1);
}

static double quantile_us(double share) {
  uint64_t sum = 0, wanted = (uint64_t)(share * (double)done);
  for (int i = 0; i < BUCKETS; i++) {
    sum += histogram[i];
    if (sum > wanted) return value_of(i) / 1000;
  }
  return (double)latency_max / 1000;
}

static void note_latency(uint64_t latency) {
  done++;
  histogram[bucket_of(latency)]++;
  if (latency > latency_max) latency_max = latency;
}

/* ---- what the proxy used ---- */

static int pids[PIDS_MAX], pid_count;

static void read_pids(char *list) {
  for (char *one = strtok(list, ","); one != NULL && pid_count < PIDS_MAX; one = strtok(NULL, ","))
    pids[pid_count++] = atoi(one);
}

typedef struct { double user, system, run; } Cpu; /* Microseconds. */

/* Nanoseconds of all live threads: stat counts whole ticks only. */
static double run_us(int pid) {
  char name[64];
  snprintf(name, sizeof name, "/proc/%d/task", pid);
  DIR *tasks = opendir(name);
  if (tasks == NULL) return 0;
  double sum = 0;
  for (struct dirent *task; (task = readdir(tasks)) != NULL;) {
    if (task->d_name[0] == '.') continue;
    char file[400];
    snprintf(file, sizeof file, "%s/%s/schedstat", name, task->d_name);
    FILE *stream = fopen(file, "r");
    if (stream == NULL) continue;
    unsigned long long ns;
    if (fscanf(stream, "%llu", &ns) == 1) sum += (double)ns / 1000;
    fclose(stream);
  }
  closedir(tasks);
  return sum;
}

static Cpu cpu_now(void) {
  Cpu sum = {0, 0, 0};
  double tick = 1e6 / (double)sysconf(_SC_CLK_TCK);
  for (int i = 0; i < pid_count; i++) {
    char text[1024];
    snprintf(text, sizeof text, "/proc/%d/stat", pids[i]);
    FILE *stream = fopen(text, "r");
    if (stream == NULL) continue;
    size_t length = fread(text, 1, sizeof text - 1, stream);
    fclose(stream);
    text[length] = 0;
    char *rest = strrchr(text, ')');
    unsigned long user, system;
    if (rest != NULL &&
        sscanf(rest + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) == 2) {
      sum.user += (double)user * tick;
      sum.system += (double)system * tick;
    }
    sum.run += run_us(pids[i]);
  }
  return sum;
}

static long rss_kb(void) {
  long sum = 0;
  for (int i = 0; i < pid_count; i++) {
    char line[256];
    snprintf(line, sizeof line, "/proc/%d/status", pids[i]);
    FILE *stream = fopen(line, "r");
    if (stream == NULL) continue;
    while (fgets(line, sizeof line, stream) != NULL)
      if (strncmp(line, "VmRSS:", 6) == 0) sum += atol(line + 6);
    fclose(stream);
  }
  return sum;
}

/* ---- what is printed ---- */

typedef struct {
  Cpu before, after;
  long rss_kb;
  double seconds;
  uint64_t bytes_read, total, late, failed, errors;
  const char *first_error;
} Result;

/* One line of JSON; nanoseconds of threads where the kernel counts them, else its ticks. */
static void print_result(Result result) {
  Cpu before = result.before, after = result.after;
  double count = done > 0 ? (double)done : 1, ticks = after.user + after.system - before.user - before.system;
  double cpu = after.run > before.run ? after.run - before.run : ticks;
  double user = ticks > 0 ? cpu * (after.user - before.user) / ticks : 0;
  printf("{\"rps\":%.0f,\"mbPerSecond\":%.1f,\"p50Us\":%.1f,\"p90Us\":%.1f,\"p99Us\":%.1f,\"p999Us\":%.1f,"
         "\"maxUs\":%.1f,\"cpuUs\":%.3f,\"userUs\":%.3f,\"systemUs\":%.3f,\"utilisation\":%.3f,\"rssKb\":%ld,"
         "\"requests\":%llu,\"total\":%llu,\"late\":%llu,\"failed\":%llu,\"errors\":%llu,\"firstError\":\"",
         (double)done / result.seconds, (double)result.bytes_read / result.seconds / 1e6, quantile_us(.5),
         quantile_us(.9), quantile_us(.99), quantile_us(.999), (double)latency_max / 1000, cpu / count,
         user / count, (cpu - user) / count, cpu / 1e6 / result.seconds, result.rss_kb,
         (unsigned long long)done, (unsigned long long)result.total, (unsigned long long)result.late,
         (unsigned long long)result.failed, (unsigned long long)result.errors);
  for (const char *at = result.first_error; *at != 0; at++)
    putchar(*at < ' ' || *at == '"' || *at == '\\' ? ' ' : *at);
  printf("\"}\n");
}

#endif
