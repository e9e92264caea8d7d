/*
 * The pod of `npm run bench -- http2`: HTTP/2 with prior knowledge, one thread, epoll. Every call
 * is answered, once it is complete, with 200 and as many bytes as the command line says; `grpc`
 * makes that a message with its trailers. It keeps to the windows of its clients, which are the
 * proxies under test, and never uses their tables.
 */
#include "frames.h"

enum { STREAMS_MAX = 4096 };

typedef struct { uint32_t stream; int64_t window; uint64_t left; int is_answering; } Call;

typedef struct { int64_t window, stream_window; int count; Call *calls; } Server;

static uint64_t answer_bytes;
static int is_grpc;
static uint8_t head[512], trailers[64], body[FRAME_MAX];
static size_t head_bytes, trailer_bytes;

static Call *call_of(Server *server, uint32_t stream, int is_new) {
  for (int i = 0; i < server->count; i++)
    if (server->calls[i].stream == stream) return &server->calls[i];
  if (!is_new || server->count == STREAMS_MAX) return NULL;
  Call *call = &server->calls[server->count++];
  *call = (Call){stream, server->stream_window, 0, 0};
  return call;
}

static void forget(Server *server, Call *call) {
  *call = server->calls[--server->count];
}

/* As much of its body as both windows allow; returns 1 when it was the end. */
static int send_body(Line *line, Server *server, Call *call) {
  while (call->left > 0) {
    int64_t most = call->window < server->window ? call->window : server->window;
    if (most <= 0 || line->out.used - line->out.sent > 4 * READ_MAX) return 0;
    uint32_t take = call->left < FRAME_MAX ? (uint32_t)call->left : FRAME_MAX;
    if (take > most) take = (uint32_t)most;
    call->left -= take;
    call->window -= take;
    server->window -= take;
    put_frame(line, DATA, call->left == 0 && !is_grpc ? END_STREAM : 0, call->stream, body, take);
  }
  if (is_grpc)
    put_frame(line, HEADERS, END_HEADERS | END_STREAM, call->stream, trailers, (uint32_t)trailer_bytes);
  return 1;
}

static void answer(Line *line, Server *server, Call *call) {
  int has_body = answer_bytes > 0 || is_grpc;
  put_frame(line, HEADERS, END_HEADERS | (has_body ? 0 : END_STREAM), call->stream, head, (uint32_t)head_bytes);
  call->left = answer_bytes;
  call->is_answering = 1;
  if (!has_body || send_body(line, server, call)) forget(server, call);
}

static void go_on(Line *line, Server *server) {
  for (int i = server->count - 1; i >= 0; i--) {
    Call *call = &server->calls[i];
    if (call->is_answering && send_body(line, server, call)) forget(server, call);
  }
}

/* Until the kernel takes no more, or the windows are used up. */
static void send_all(Line *line) {
  flush(line);
  while (line->out.sent == line->out.used) {
    go_on(line, line->more);
    if (line->out.sent == line->out.used) return;
    flush(line);
    if (line->wants_write) return;
  }
}

static void take_settings(Server *server, const Frame *frame) {
  for (uint32_t at = 0; at + 6 <= frame->length; at += 6) {
    if (frame->payload[at] != 0 || frame->payload[at + 1] != 4) continue;
    int64_t window = read32(frame->payload + at + 2);
    for (int i = 0; i < server->count; i++) server->calls[i].window += window - server->stream_window;
    server->stream_window = window;
  }
}

static int take(Line *line, const Frame *frame) {
  Server *server = line->more;
  if (frame->type == SETTINGS && !(frame->flags & ACK)) take_settings(server, frame);
  if (frame->type == WINDOW_UPDATE) {
    Call *call = frame->stream == 0 ? NULL : call_of(server, frame->stream, 0);
    if (frame->stream == 0) server->window += read32(frame->payload);
    else if (call != NULL) call->window += read32(frame->payload);
    go_on(line, server);
  }
  if (frame->type == RST_STREAM) {
    Call *call = call_of(server, frame->stream, 0);
    if (call != NULL) forget(server, call);
  }
  if (frame->type != HEADERS && frame->type != DATA) return 0;
  if (frame->flags & PADDED || (frame->type == HEADERS && !(frame->flags & END_HEADERS))) {
    fprintf(stderr, "a frame that is not understood here\n");
    return -1;
  }
  Call *call = call_of(server, frame->stream, frame->type == HEADERS);
  if (call != NULL && frame->flags & END_STREAM) answer(line, server, call);
  return 0;
}

static void drop(Line *line) {
  Server *server = line->more;
  close(line->fd);
  free(server->calls);
  free(server);
  free(line->in);
  free(line->out.bytes);
  free(line);
}

static void accept_all(Line *listener) {
  static const int on = 1;
  for (;;) {
    int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    Line *line = calloc(1, sizeof *line);
    Server *server = calloc(1, sizeof *server);
    if (line == NULL || server == NULL || (server->calls = calloc(STREAMS_MAX, sizeof(Call))) == NULL) die("calloc");
    server->window = server->stream_window = 65535;
    line->fd = fd;
    line->more = server;
    line->skip = 24;
    put_settings(line);
    watch(line, EPOLL_CTL_ADD, 0);
    flush(line);
  }
}

int main(int count, char **values) {
  if (count != 4 && count != 5) {
    fprintf(stderr, "usage: up2 ADDRESS PORT BYTES [grpc]\n");
    return 2;
  }
  begin_program();
  is_grpc = count == 5;
  answer_bytes = strtoull(values[3], NULL, 10) + (is_grpc ? 5 : 0);
  if (is_grpc && answer_bytes > FRAME_MAX) return 2;
  if (is_grpc) write32(body + 1, (uint32_t)answer_bytes - 5);
  head[head_bytes++] = 0x88;
  head_bytes += put_literal(head + head_bytes, "content-type", is_grpc ? "application/grpc" : "application/octet-stream", 0);
  head_bytes += put_literal(head + head_bytes, "date", "Tue, 01 Jan 2030 00:00:00 GMT", 0);
  trailer_bytes = put_literal(trailers, "grpc-status", "0", 0);
  static const int on = 1;
  Line listener = {.fd = new_socket(), .is_listener = 1};
  setsockopt(listener.fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  struct sockaddr_in at = address_of(values[1], atoi(values[2]));
  if (bind(listener.fd, (struct sockaddr *)&at, sizeof at) < 0) die("bind");
  if (listen(listener.fd, 4096) < 0) die("listen");
  watch(&listener, EPOLL_CTL_ADD, 0);
  printf("ready\n");
  fflush(stdout);
  static struct epoll_event events[EVENTS_MAX];
  for (;;) {
    int ready = epoll_wait(poller, events, EVENTS_MAX, -1);
    for (int i = 0; i < ready; i++) {
      Line *line = events[i].data.ptr;
      if (line->is_listener) accept_all(line);
      else if (events[i].events & ~(uint32_t)EPOLLOUT && receive(line, take) < 0) drop(line);
      else send_all(line);
    }
  }
}
