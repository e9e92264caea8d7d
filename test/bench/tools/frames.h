/*
 * Frames of HTTP/2 (RFC 9113) as the load generator and the pod of `npm run bench -- http2` need
 * them: connections with buffers, whole frames in, frames out, our windows kept open. What a proxy
 * never sends to them – padding, continuations – is an error, so that no figure hides one.
 */
#ifndef FRAMES_H
#define FRAMES_H
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "measure.h"

enum { DATA = 0, HEADERS = 1, RST_STREAM = 3, SETTINGS = 4, PING = 6, GOAWAY = 7, WINDOW_UPDATE = 8 };
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4, PADDED = 8, PRIORITY = 32 };
enum { FRAME_HEAD = 9, FRAME_MAX = 16384, WINDOW = 1 << 26, EVENTS_MAX = 256, READ_MAX = 1 << 18 };

typedef struct { uint8_t *bytes; size_t used, sent, room; } Out;

typedef struct Line {
  int fd, wants_write, is_listener;
  uint8_t *in;              /* Of a frame that is not complete yet. */
  size_t in_used, skip;     /* `skip`: of the preface. */
  Out out;
  uint64_t unacknowledged;  /* Bytes of DATA that our window was not raised for. */
  void *more;               /* Whose it is. */
} Line;

typedef struct { uint32_t length, stream; uint8_t type, flags; const uint8_t *payload; } Frame;

static int poller;

static uint32_t read32(const uint8_t *at) {
  return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void write32(uint8_t *at, uint32_t value) {
  at[0] = (uint8_t)(value >> 24), at[1] = (uint8_t)(value >> 16), at[2] = (uint8_t)(value >> 8), at[3] = (uint8_t)value;
}

static uint8_t *room_for(Out *out, size_t bytes) {
  if (out->sent == out->used) out->sent = out->used = 0;
  if (out->used + bytes > out->room) {
    out->room = (out->used + bytes) * 2;
    if ((out->bytes = realloc(out->bytes, out->room)) == NULL) die("realloc");
  }
  uint8_t *at = out->bytes + out->used;
  out->used += bytes;
  return at;
}

static void put_frame(Line *line, int type, int flags, uint32_t stream, const void *payload, uint32_t length) {
  uint8_t *at = room_for(&line->out, FRAME_HEAD + length);
  write32(at, length << 8 | (uint32_t)type);
  at[4] = (uint8_t)flags;
  write32(at + 5, stream);
  if (length > 0) memcpy(at + FRAME_HEAD, payload, length);
}

static void put_window(Line *line, uint32_t stream, uint32_t bytes) {
  uint8_t payload[4];
  write32(payload, bytes);
  put_frame(line, WINDOW_UPDATE, 0, stream, payload, 4);
}

/* No push, streams enough, and windows that hold up nobody. */
static void put_settings(Line *line) {
  static const uint8_t payload[] = {0, 2, 0, 0, 0, 0, 0, 3, 0, 0, 3, 0xe8, 0, 4, 0x7f, 0xff, 0xff, 0xff};
  put_frame(line, SETTINGS, 0, 0, payload, sizeof payload);
  put_window(line, 0, WINDOW);
}

static void watch(Line *line, int operation, int wants_write) {
  struct epoll_event event = {.events = EPOLLIN | (wants_write ? EPOLLOUT : 0), .data.ptr = line};
  if (epoll_ctl(poller, operation, line->fd, &event) < 0) die("epoll_ctl");
  line->wants_write = wants_write;
}

static void flush(Line *line) {
  Out *out = &line->out;
  while (out->sent < out->used) {
    ssize_t n = send(line->fd, out->bytes + out->sent, out->used - out->sent, MSG_NOSIGNAL);
    if (n < 0) {
      if ((errno == EAGAIN || errno == ENOTCONN) && !line->wants_write) watch(line, EPOLL_CTL_MOD, 1);
      return; /* Else the read that follows says how it ended. */
    }
    out->sent += (size_t)n;
  }
  if (line->wants_write) watch(line, EPOLL_CTL_MOD, 0);
}

/* What every end does with a frame; returns 0 when it was all there is to do. */
static int is_ours(Line *line, const Frame *frame) {
  if (frame->type == SETTINGS && !(frame->flags & ACK)) put_frame(line, SETTINGS, ACK, 0, NULL, 0);
  if (frame->type == PING && !(frame->flags & ACK)) put_frame(line, PING, ACK, 0, frame->payload, 8);
  if (frame->type == DATA && (line->unacknowledged += frame->length) > WINDOW / 2) {
    put_window(line, 0, (uint32_t)line->unacknowledged);
    line->unacknowledged = 0;
  }
  return frame->type != PING;
}

typedef int (*Taker)(Line *, const Frame *);

/* Tells each whole frame; returns -1 when the connection is of no more use. */
static int receive(Line *line, Taker take) {
  static uint8_t buffer[READ_MAX + FRAME_HEAD + FRAME_MAX];
  if (line->in_used > 0) memcpy(buffer, line->in, line->in_used);
  ssize_t n = recv(line->fd, buffer + line->in_used, READ_MAX, 0);
  if (n < 0 && errno == EAGAIN) return 0;
  if (n <= 0) return -1;
  size_t end = line->in_used + (size_t)n, at = 0;
  if (line->skip > 0) {
    at = line->skip < end ? line->skip : end;
    line->skip -= at;
  }
  while (end - at >= FRAME_HEAD) {
    uint32_t head = read32(buffer + at);
    Frame frame = {head >> 8, read32(buffer + at + 5) & 0x7fffffff, (uint8_t)head, buffer[at + 4], buffer + at + FRAME_HEAD};
    if (frame.length > FRAME_MAX) return -1;
    if (end - at < FRAME_HEAD + frame.length) break;
    at += FRAME_HEAD + frame.length;
    if (is_ours(line, &frame) && take(line, &frame) < 0) return -1;
  }
  line->in_used = end - at;
  if (line->in_used > 0) {
    if (line->in == NULL && (line->in = malloc(FRAME_HEAD + FRAME_MAX)) == NULL) die("malloc");
    memcpy(line->in, buffer + at, line->in_used);
  }
  return 0;
}

/* Without indexing (RFC 7541 6.2.2), so that nobody's table matters; short names and values only. */
static size_t put_literal(uint8_t *at, const char *name, const char *value, int is_indexed) {
  size_t names = strlen(name), values = strlen(value), used = 0;
  if (names > 126 || values > 126) die("a field too long for one byte of length");
  at[used++] = is_indexed ? 0x40 : 0;
  at[used++] = (uint8_t)names;
  memcpy(at + used, name, names);
  used += names;
  at[used++] = (uint8_t)values;
  memcpy(at + used, value, values);
  return used + values;
}

static void begin_program(void) {
  signal(SIGPIPE, SIG_IGN);
  /* Whoever started this is gone: so is the reason to be here. */
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  poller = epoll_create1(EPOLL_CLOEXEC);
}

static int new_socket(void) {
  static const int on = 1;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) die("socket");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

static struct sockaddr_in address_of(const char *address, int port) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  if (inet_pton(AF_INET, address, &to.sin_addr) != 1) die("address");
  return to;
}

#endif
