/*
 * The pods of `npm run bench -- dataplane`: one epoll thread that answers HTTP/1.1 on consecutive
 * addresses, as cheaply as it can. `up PORT FIRST-ADDRESS COUNT`.
 *
 * GET /bytes/N answers N bytes with Content-Length, GET /chunked/N the same in chunks of 4096.
 * A request with a body (sized or chunked) is read to its end first. Not strict: it is the proxy
 * that is measured, and what arrives here came through it.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
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

enum { HEAD_MAX = 8192, READ_MAX = 1 << 18, EVENTS_MAX = 256, ANSWERS_MAX = 64, CHUNK = 4096 };
enum { BODY_BYTES_MAX = 16 << 20 };

typedef enum { IN_HEAD, IN_SIZED, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, TRAILERS } Part;

typedef struct {
  char *bytes;
  size_t length;
  size_t body;
  int is_chunked;
} Answer;

typedef struct {
  int fd;
  int is_listener;
  int wants_write;
  int line_length;
  Part part;
  uint64_t left;
  const Answer *answer;
  size_t sent;     /* Of the answer; an answer under way holds up what is behind it. */
  int is_sending;
  size_t head_used;
  char *head;
} Connection;

static int poller;
static Answer answers[ANSWERS_MAX];
static int answer_count;

static void die(const char *what) {
  perror(what);
  exit(2);
}

static const Answer *answer_for(size_t body, int is_chunked) {
  for (int i = 0; i < answer_count; i++)
    if (answers[i].body == body && answers[i].is_chunked == is_chunked) return &answers[i];
  if (answer_count == ANSWERS_MAX) return &answers[0];
  Answer *made = &answers[answer_count++];
  made->body = body;
  made->is_chunked = is_chunked;
  char *at = made->bytes = malloc(body + body / CHUNK * 16 + 1024);
  if (at == NULL) die("malloc");
  at += sprintf(at,
                "HTTP/1.1 200 OK\r\nServer: up\r\nDate: Tue, 01 Jan 2030 00:00:00 GMT\r\n"
                "Content-Type: application/json; charset=utf-8\r\nCache-Control: no-cache, no-store\r\n"
                "Vary: Accept-Encoding\r\nETag: \"5f0c6a1e8f5f4f0b9a536f8e2b7c1d90\"\r\n");
  if (!is_chunked) {
    at += sprintf(at, "Content-Length: %zu\r\n\r\n", body);
    memset(at, 'a', body);
    at += body;
  } else {
    at += sprintf(at, "Transfer-Encoding: chunked\r\n\r\n");
    for (size_t left = body; left > 0;) {
      size_t chunk = left < CHUNK ? left : CHUNK;
      at += sprintf(at, "%zx\r\n", chunk);
      memset(at, 'a', chunk);
      at += chunk;
      at += sprintf(at, "\r\n");
      left -= chunk;
    }
    at += sprintf(at, "0\r\n\r\n");
  }
  made->length = (size_t)(at - made->bytes);
  return made;
}

static void watch(Connection *one, int operation, int wants_write) {
  struct epoll_event event = {.events = wants_write ? EPOLLOUT : EPOLLIN, .data.ptr = one};
  if (epoll_ctl(poller, operation, one->fd, &event) < 0) die("epoll_ctl");
  one->wants_write = wants_write;
}

static void drop(Connection *one) {
  close(one->fd);
  free(one->head);
  free(one);
}

/* Returns 0 when the peer is gone. While an answer waits for room nothing is read. */
static int send_on(Connection *one) {
  while (one->sent < one->answer->length) {
    ssize_t n = send(one->fd, one->answer->bytes + one->sent, one->answer->length - one->sent, MSG_NOSIGNAL);
    if (n < 0) {
      if (errno != EAGAIN) return 0;
      if (!one->wants_write) watch(one, EPOLL_CTL_MOD, 1);
      return 1;
    }
    one->sent += (size_t)n;
  }
  one->is_sending = 0;
  if (one->wants_write) watch(one, EPOLL_CTL_MOD, 0);
  return 1;
}

static int respond(Connection *one) {
  one->part = IN_HEAD;
  one->sent = 0;
  one->is_sending = 1;
  return send_on(one);
}

/* Learns what to answer and what body follows; returns 1 when a body does, -1 on nonsense. */
static int read_head(Connection *one, const char *head, const char *end) {
  const char *target = memchr(head, ' ', (size_t)(end - head));
  if (target == NULL) return -1;
  target++;
  int is_chunked = strncmp(target, "/chunked/", 9) == 0;
  size_t body = (size_t)atol(target + (is_chunked ? 9 : 7));
  one->answer = answer_for(body > BODY_BYTES_MAX ? 0 : body, is_chunked);
  if (head[0] == 'G') return 0;
  for (const char *at = head; at < end; at++) {
    if (*at != '\n') continue;
    if (strncasecmp(at + 1, "content-length:", 15) == 0) {
      one->left = (uint64_t)atoll(at + 16);
      one->part = IN_SIZED;
      return one->left > 0;
    }
    if (strncasecmp(at + 1, "transfer-encoding:", 18) == 0) {
      one->left = 0;
      one->part = CHUNK_SIZE;
      return 1;
    }
  }
  return 0;
}

static size_t read_body(Connection *one, const char *data, size_t length, int *complete) {
  size_t at = 0;
  while (at < length && !*complete) {
    if (one->part == IN_SIZED || one->part == CHUNK_DATA) {
      size_t take = length - at < one->left ? length - at : (size_t)one->left;
      at += take;
      one->left -= take;
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
        one->left = one->left * 16 + (uint64_t)(byte <= '9' ? byte - '0' : (byte | 32) - 'a' + 10);
      }
    } else if (byte == '\n') {
      if (one->line_length == 0) *complete = 1;
      one->line_length = 0;
    } else if (byte != '\r') {
      one->line_length++;
    }
  }
  return at;
}

/* One step into what came; returns bytes used, -1 to drop the connection. */
static ssize_t step(Connection *one, const char *data, size_t length) {
  int complete = 0;
  if (one->part != IN_HEAD) {
    size_t used = read_body(one, data, length, &complete);
    return !complete || respond(one) ? (ssize_t)used : -1;
  }
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
  if (body < 0 || (body == 0 && !respond(one))) return -1;
  return end + 4 - head - (ssize_t)before;
}

static char buffer[READ_MAX];

static int receive(Connection *one) {
  ssize_t n = recv(one->fd, buffer, sizeof buffer, 0);
  if (n < 0 && errno == EAGAIN) return 1;
  if (n <= 0) return 0;
  for (size_t at = 0; at < (size_t)n;) {
    /* A proxy that pipelines would need a queue here; none of them does. */
    if (one->is_sending) return 0;
    ssize_t used = step(one, buffer + at, (size_t)n - at);
    if (used < 0) return 0;
    at += (size_t)used;
  }
  return 1;
}

static void accept_all(Connection *listener) {
  static const int on = 1;
  for (;;) {
    int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    Connection *one = calloc(1, sizeof *one);
    if (one == NULL) die("calloc");
    one->fd = fd;
    watch(one, EPOLL_CTL_ADD, 0);
  }
}

static void listen_on(struct in_addr at, int port) {
  static const int on = 1;
  Connection *listener = calloc(1, sizeof *listener);
  if (listener == NULL) die("calloc");
  listener->is_listener = 1;
  listener->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = at};
  if (bind(listener->fd, (struct sockaddr *)&address, sizeof address) < 0) die("bind");
  if (listen(listener->fd, 4096) < 0) die("listen");
  watch(listener, EPOLL_CTL_ADD, 0);
}

int main(int count, char **values) {
  if (count != 4) {
    fprintf(stderr, "usage: up PORT FIRST-ADDRESS COUNT\n");
    return 2;
  }
  signal(SIGPIPE, SIG_IGN);
  /* Whoever started this is gone: so is the reason to be here. */
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  poller = epoll_create1(EPOLL_CLOEXEC);
  struct in_addr first;
  if (inet_pton(AF_INET, values[2], &first) != 1) die("address");
  for (int i = 0; i < atoi(values[3]); i++) {
    struct in_addr at = {.s_addr = htonl(ntohl(first.s_addr) + (uint32_t)i)};
    listen_on(at, atoi(values[1]));
  }
  printf("ready\n");
  fflush(stdout);
  static struct epoll_event events[EVENTS_MAX];
  for (;;) {
    int ready = epoll_wait(poller, events, EVENTS_MAX, -1);
    for (int i = 0; i < ready; i++) {
      Connection *one = events[i].data.ptr;
      if (one->is_listener) accept_all(one);
      else if (one->wants_write ? !send_on(one) : !receive(one)) drop(one);
    }
  }
}
