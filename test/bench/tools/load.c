/*
 * HTTP/1.1 load generator for `npm run bench -- dataplane`: one thread, epoll, no dependencies.
 *
 * Closed loop (default): every connection always has one request under way. Open loop (-r): requests
 * are due at a constant rate whatever the answers do, and their latency counts from when they were
 * due, so that a stall of the proxy is seen by all requests that it delayed (no coordinated
 * omission). A wrong status, a wrong body length, bytes behind an answer or a connection that ends
 * early are errors. CPU is that of the processes given by -P, over all of their threads; it and the
 * histogram cover the window between warm-up and end, `total` counts every completed request.
 * After the window nothing new is sent and what is under way is waited for, so that `total` can be
 * compared with the counters of the proxy. Prints one line of JSON.
 *
 * With -T failures are what is measured: nothing ends a run early, the histogram is of the good
 * answers alone, `failed` counts requests of the window that were answered with another status, cut
 * off or not answered at all, and those under way at its end are waited for and count.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "measure.h"

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

enum { HEAD_MAX = 8192, READ_MAX = 1 << 18, EVENTS_MAX = 256, ERRORS_MAX = 1000 };

typedef enum { IN_HEAD, IN_SIZED, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, TRAILERS } Part;

typedef struct {
  int fd;
  int busy;          /* A request is under way. */
  int wants_write;   /* EPOLLOUT is asked for. */
  int is_bad;        /* Something is wrong with the answer so far. */
  int closes;        /* The peer has said that it will close. */
  int line_length;   /* Of the trailer line so far. */
  uint64_t due;      /* Latency counts from here. */
  size_t sent;
  Part part;
  uint64_t left;     /* Of the sized body, or of the chunk. */
  uint64_t body;     /* Body bytes seen. */
  size_t head_used;
  char *head;        /* Only while a head is incomplete. */
} Connection;

static const char *address = "127.0.0.1", *path = "/bytes/200", *host = "localhost";
static struct in_addr source_first;
static int port, source_count, connections = 64, is_fresh, is_chunked, expected_status = 200;
static long body_bytes = -1, expected_body = -1, idle_connections;
static double duration = 1.5, warm_up = 0.5, rate;

static int poller, is_recording, next_source;
static char *request;
static size_t request_bytes;
static char *ids[2];          /* Digits of the request and of the trace that are new each time (-V). */
static int has_new_ids;
static int is_tolerant;       /* -T */
static uint64_t failed;
static Connection *current;   /* Whose bytes are read now. */
static Connection *all;
static int *waiting, waiting_count;
static uint64_t total, errors, bytes_read, under_way;
static char first_error[256];

/* ---- connections ---- */

static void watch(Connection *one, int operation, int wants_write) {
  struct epoll_event event = {.events = EPOLLIN | (wants_write ? EPOLLOUT : 0), .data.ptr = one};
  if (epoll_ctl(poller, operation, one->fd, &event) < 0) die("epoll_ctl");
  one->wants_write = wants_write;
}

static void note_error(const char *what) {
  if (current != NULL) current->is_bad = 1;
  if (errors++ == 0) snprintf(first_error, sizeof first_error, "%s", what);
}

static void open_connection(Connection *one) {
  static const int on = 1;
  one->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (one->fd < 0) die("socket");
  setsockopt(one->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (source_count > 0) {
    /* The port is chosen at connect: only then may one in TIME_WAIT be used again. */
    setsockopt(one->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    struct sockaddr_in from = {.sin_family = AF_INET};
    from.sin_addr.s_addr = htonl(ntohl(source_first.s_addr) + (uint32_t)next_source);
    next_source = (next_source + 1) % source_count;
    if (bind(one->fd, (struct sockaddr *)&from, sizeof from) < 0) die("bind");
  }
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  if (inet_pton(AF_INET, address, &to.sin_addr) != 1) die("address");
  if (connect(one->fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS) die("connect");
  one->part = IN_HEAD;
  one->busy = one->closes = 0;
  one->body = one->head_used = 0;
  watch(one, EPOLL_CTL_ADD, 0);
}

static void close_connection(Connection *one) {
  close(one->fd);
  one->fd = -1;
  free(one->head);
  one->head = NULL;
  if (one->busy) under_way--;
  one->busy = 0;
}

/* Writes on; what the kernel does not take waits for EPOLLOUT. */
static void send_on(Connection *one) {
  while (one->sent < request_bytes) {
    ssize_t n = send(one->fd, request + one->sent, request_bytes - one->sent, MSG_NOSIGNAL);
    if (n < 0) {
      if (errno == EAGAIN || errno == ENOTCONN) {
        if (!one->wants_write) watch(one, EPOLL_CTL_MOD, 1);
        return;
      }
      return; /* The read that follows says how it ended. */
    }
    one->sent += (size_t)n;
  }
  if (one->wants_write) watch(one, EPOLL_CTL_MOD, 0);
}

/* As clients with tracing do: no two of their heads are the same. */
static void renew_ids(void) {
  static uint32_t request_number;
  char digits[9];
  snprintf(digits, sizeof digits, "%08x", ++request_number);
  for (int i = 0; i < 2; i++) memcpy(ids[i], digits, 8);
}

static void start(Connection *one, uint64_t due) {
  if (has_new_ids) renew_ids();
  one->busy = 1;
  under_way++;
  one->due = due;
  one->sent = 0;
  one->body = 0;
  one->is_bad = 0;
  send_on(one);
}

static void finish(Connection *one) {
  uint64_t latency = now_ns() - one->due;
  if (expected_body >= 0 && one->body != (uint64_t)expected_body) note_error("wrong body length");
  one->busy = 0;
  one->part = IN_HEAD;
  under_way--;
  total++;
  if (!is_recording) return;
  if (is_tolerant && one->is_bad) {
    failed++;
    return;
  }
  note_latency(latency);
}

/* ---- answers ---- */

static int is_field(const char *line, const char *name) {
  return strncasecmp(line, name, strlen(name)) == 0;
}

/* Returns 0 when the answer is complete with its head, 1 when a body follows, -1 on nonsense. */
static int read_head(Connection *one, const char *head, const char *end) {
  if (strncmp(head, "HTTP/1.1 ", 9) != 0 || atoi(head + 9) != expected_status) {
    char text[128];
    snprintf(text, sizeof text, "status line: %.60s", head);
    note_error(text);
    if (strncmp(head, "HTTP/1.1 ", 9) != 0) return -1;
  }
  int chunked = 0;
  long long length = -1;
  for (const char *at = head; at < end; at++) {
    if (*at != '\n') continue;
    if (is_field(at + 1, "content-length:")) length = atoll(at + 16);
    else if (is_field(at + 1, "transfer-encoding: chunked")) chunked = 1;
    else if (!is_fresh && is_field(at + 1, "connection: close")) {
      if (is_tolerant) one->closes = 1;
      else note_error("connection: close");
    }
  }
  if (chunked) {
    one->part = CHUNK_SIZE;
    one->left = 0;
    return 1;
  }
  if (length < 0) return -1;
  one->part = IN_SIZED;
  one->left = (uint64_t)length;
  return length > 0;
}

static int hex_of(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  digit |= 32;
  return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* Walks over body bytes; sets *complete; returns how many were used, -1 on nonsense. */
static ssize_t read_body(Connection *one, const char *data, size_t length, int *complete) {
  size_t at = 0;
  while (at < length && !*complete) {
    if (one->part == IN_SIZED || one->part == CHUNK_DATA) {
      size_t take = length - at < one->left ? length - at : (size_t)one->left;
      at += take;
      one->left -= take;
      one->body += take;
      if (one->left > 0) break;
      if (one->part == IN_SIZED) *complete = 1;
      else one->part = CHUNK_END;
      continue;
    }
    char byte = data[at++];
    if (one->part == CHUNK_END) {
      if (byte == '\n') one->part = CHUNK_SIZE;
    } else if (one->part == CHUNK_SIZE) {
      if (byte == '\n') {
        one->part = one->left > 0 ? CHUNK_DATA : TRAILERS;
        one->line_length = 0;
      } else if (byte != '\r') {
        if (hex_of(byte) < 0) return -1;
        one->left = one->left * 16 + (uint64_t)hex_of(byte);
      }
    } else if (byte == '\n') {
      if (one->line_length == 0) *complete = 1;
      one->line_length = 0;
    } else if (byte != '\r') {
      one->line_length++;
    }
  }
  return (ssize_t)at;
}

/* One step into the answer; returns bytes used, -1 on nonsense. */
static ssize_t step(Connection *one, const char *data, size_t length, int *complete) {
  if (one->part != IN_HEAD) return read_body(one, data, length, complete);
  const char *head = data, *end;
  size_t before = one->head_used;
  if (before > 0) {
    size_t take = length < HEAD_MAX - before ? length : HEAD_MAX - before;
    memcpy(one->head + before, data, take);
    one->head_used += take;
    head = one->head;
    end = memmem(head, one->head_used, "\r\n\r\n", 4);
  } else {
    end = memmem(data, length, "\r\n\r\n", 4);
  }
  if (end == NULL) {
    if (before > 0) return one->head_used < HEAD_MAX ? (ssize_t)length : -1;
    if (length >= HEAD_MAX) return -1;
    if (one->head == NULL && (one->head = malloc(HEAD_MAX)) == NULL) die("malloc");
    memcpy(one->head, data, length);
    one->head_used = length;
    return (ssize_t)length;
  }
  one->head_used = 0;
  int body = read_head(one, head, end);
  if (body < 0) return -1;
  if (body == 0) *complete = 1;
  return end + 4 - head - (ssize_t)before;
}

static char buffer[READ_MAX];

/* Returns 1 when the answer is complete, 0 when not yet, -1 when the connection is of no more use. */
static int receive(Connection *one) {
  ssize_t n = recv(one->fd, buffer, sizeof buffer, 0);
  if (n < 0 && errno == EAGAIN) return 0;
  if (n <= 0) {
    if (one->busy) note_error(n == 0 ? "connection ended" : strerror(errno));
    return -1;
  }
  if (!one->busy) {
    note_error("bytes that nobody asked for");
    return -1;
  }
  if (is_recording) bytes_read += (uint64_t)n;
  int complete = 0;
  for (size_t at = 0; at < (size_t)n;) {
    if (complete) {
      note_error("bytes behind the answer");
      return -1;
    }
    ssize_t used = step(one, buffer + at, (size_t)n - at, &complete);
    if (used < 0) {
      note_error("malformed answer");
      return -1;
    }
    at += (size_t)used;
  }
  return complete;
}

/* ---- what is sent ---- */

static void make_request(void) {
  size_t room = 4096 + (body_bytes > 0 ? (size_t)body_bytes * 2 : 0);
  char *at = request = malloc(room);
  if (at == NULL) die("malloc");
  at += sprintf(at,
                "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: okhttp/4.12.0\r\n"
                "Accept: application/json, text/plain, */*\r\nAccept-Encoding: gzip, deflate\r\n"
                "X-Request-Id: 5f0c6a1e-8f5f-4f0b-9a53-6f8e2b7c1d90\r\n"
                "Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"
                "Cookie: session=0123456789abcdef0123456789abcdef0123456789abcdef\r\n",
                body_bytes >= 0 ? "POST" : "GET", path, host);
  if (body_bytes < 0) {
    at += sprintf(at, "\r\n");
  } else if (!is_chunked) {
    at += sprintf(at, "Content-Type: application/json\r\nContent-Length: %ld\r\n\r\n", body_bytes);
    memset(at, 'b', (size_t)body_bytes);
    at += body_bytes;
  } else {
    at += sprintf(at, "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (long left = body_bytes; left > 0;) {
      long chunk = left < 4096 ? left : 4096;
      at += sprintf(at, "%lx\r\n", (unsigned long)chunk);
      memset(at, 'b', (size_t)chunk);
      at += chunk;
      at += sprintf(at, "\r\n");
      left -= chunk;
    }
    at += sprintf(at, "0\r\n\r\n");
  }
  request_bytes = (size_t)(at - request);
  ids[0] = strstr(request, "5f0c6a1e");
  ids[1] = strstr(request, "0af76519");
}

static void read_options(int count, char **values) {
  for (int option; (option = getopt(count, values, "a:p:s:n:c:d:w:r:u:H:b:CFTVi:S:L:P:")) != -1;) {
    switch (option) {
      case 'a': address = optarg; break;
      case 'p': port = atoi(optarg); break;
      case 's': if (inet_pton(AF_INET, optarg, &source_first) != 1) die("-s"); break;
      case 'n': source_count = atoi(optarg); break;
      case 'c': connections = atoi(optarg); break;
      case 'd': duration = atof(optarg); break;
      case 'w': warm_up = atof(optarg); break;
      case 'r': rate = atof(optarg); break;
      case 'u': path = optarg; break;
      case 'H': host = optarg; break;
      case 'b': body_bytes = atol(optarg); break;
      case 'C': is_chunked = 1; break;
      case 'F': is_fresh = 1; break;
      case 'T': is_tolerant = 1; break;
      case 'V': has_new_ids = 1; break;
      case 'i': idle_connections = atol(optarg); break;
      case 'S': expected_status = atoi(optarg); break;
      case 'L': expected_body = atol(optarg); break;
      case 'P': read_pids(optarg); break;
      default: exit(2);
    }
  }
  if (port == 0 || connections <= 0) exit(2);
}

/* ---- the loop ---- */

static uint64_t interval, next_due;
static int is_ending;

/* A connection is free: closed loop sends again, open loop sends what is due. */
static void go_on(Connection *one) {
  if (is_ending || idle_connections > 0) return;
  if (interval == 0) {
    start(one, now_ns());
  } else if (next_due <= now_ns()) {
    start(one, next_due);
    next_due += interval;
  } else {
    waiting[waiting_count++] = (int)(one - all);
  }
}

static void on_event(Connection *one, uint32_t events) {
  if (one->fd < 0) return;
  if (events & EPOLLOUT) send_on(one);
  if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR))) return;
  int was_busy = one->busy;
  current = one;
  int result = receive(one);
  if (result > 0) finish(one);
  current = NULL;
  if (result == 0) return;
  if (result < 0 && was_busy && is_recording) failed++;
  if (result < 0 || is_fresh || one->closes) {
    close_connection(one);
    open_connection(one);
  }
  /* One that was idle is in the list of waiting ones already. */
  if (was_busy) go_on(one);
}

static void wait_for_events(uint64_t until) {
  static struct epoll_event events[EVENTS_MAX];
  uint64_t now = now_ns();
  uint64_t wait = until > now ? until - now : 0;
  struct timespec timeout = {(time_t)(wait / 1000000000ull), (long)(wait % 1000000000ull)};
  int count = epoll_pwait2(poller, events, EVENTS_MAX, &timeout, NULL);
  for (int i = 0; i < count; i++) on_event(events[i].data.ptr, events[i].events);
}

static void send_what_is_due(void) {
  uint64_t now = now_ns();
  while (next_due <= now && waiting_count > 0) {
    start(&all[waiting[--waiting_count]], next_due);
    next_due += interval;
  }
}

static void run_until(uint64_t end) {
  while (now_ns() < end && (is_tolerant || errors < ERRORS_MAX)) {
    if (interval > 0) send_what_is_due();
    uint64_t until = end;
    if (interval > 0 && waiting_count > 0 && next_due < end) until = next_due;
    wait_for_events(until);
  }
}

/* Waits for what is under way, at most ten seconds. */
static void end_requests(void) {
  is_ending = 1;
  uint64_t end = now_ns() + 10000000000ull;
  while (under_way > 0 && now_ns() < end) wait_for_events(end < now_ns() + 100000000 ? end : now_ns() + 100000000);
  if (under_way > 0) note_error("unanswered at the end");
}

/* One request on each connection, some at a time, then silence. */
static void hold_idle(void) {
  long before = rss_kb();
  connections = (int)idle_connections;
  all = calloc((size_t)connections, sizeof *all);
  for (int i = 0; i < connections && errors == 0; i++) {
    open_connection(&all[i]);
    start(&all[i], now_ns());
    uint64_t end = now_ns() + 2000000000ull;
    while (under_way >= 64 && now_ns() < end) wait_for_events(end);
  }
  end_requests();
  sleep(2);
  printf("{\"idle\":%d,\"total\":%llu,\"errors\":%llu,\"firstError\":\"%s\",\"rssBeforeKb\":%ld,\"rssKb\":%ld}\n",
         connections, (unsigned long long)total, (unsigned long long)errors, first_error, before, rss_kb());
}

static void measure(void) {
  all = calloc((size_t)connections, sizeof *all);
  waiting = calloc((size_t)connections, sizeof *waiting);
  for (int i = 0; i < connections; i++) open_connection(&all[i]);
  if (rate > 0) interval = (uint64_t)(1e9 / rate);
  next_due = now_ns();
  for (int i = 0; i < connections; i++) go_on(&all[i]);
  run_until(now_ns() + (uint64_t)(warm_up * 1e9));
  Cpu before = cpu_now();
  uint64_t began = now_ns();
  is_recording = 1;
  run_until(began + (uint64_t)(duration * 1e9));
  is_recording = is_tolerant;
  double seconds = (double)(now_ns() - began) / 1e9;
  Cpu after = cpu_now();
  long rss = rss_kb();
  uint64_t late = interval > 0 && next_due < now_ns() ? (now_ns() - next_due) / interval : 0;
  end_requests();
  if (is_tolerant) failed += under_way;
  print_result((Result){before, after, rss, seconds, bytes_read, total, late, failed, errors, first_error});
}

int main(int count, char **values) {
  signal(SIGPIPE, SIG_IGN);
  prctl(PR_SET_TIMERSLACK, 1000ul);
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  read_options(count, values);
  poller = epoll_create1(EPOLL_CLOEXEC);
  make_request();
  if (idle_connections > 0) hold_idle();
  else measure();
  return 0;
}
