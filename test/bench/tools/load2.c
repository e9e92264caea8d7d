/*
 * HTTP/2 load generator for `npm run bench -- http2`: prior knowledge, one thread, epoll, no
 * dependencies. Closed loop: each connection always has -S calls under way. The first head of a
 * connection fills the peer's table, the later ones are indices, as a real client's are. With -b
 * the calls are gRPC: a message of so many bytes each way. A status other than 200, a wrong length,
 * a stream that is reset, GOAWAY and a connection that ends are errors. Prints what `load` prints.
 */
#include "frames.h"

enum { STREAMS_MAX = 1000, ERRORS_MAX = 1000, PATH_MAX_BYTES = 126 };

typedef struct { uint32_t stream; int is_answered; uint64_t began, body; } Call;

typedef struct { uint32_t next; int has_head, is_ready; Call calls[]; } Client;

static const char *address = "127.0.0.1", *path = "/", *host = "localhost";
static int port, connections = 64, streams = 1, is_recording;
static long message_bytes = -1, expected_body = -1;
static double duration = 1.5, warm_up = 0.5;
static uint64_t total, errors, bytes_read;
static char first_error[256];
static uint8_t first_head[2048], later_head[64], message[FRAME_MAX];
static size_t first_bytes, later_bytes;

static void note_error(const char *what, unsigned detail) {
  if (errors++ == 0) snprintf(first_error, sizeof first_error, "%s (%u)", what, detail);
}

/* What is indexed in the first head is 62 and up in the later ones, the last one first. */
static void make_heads(void) {
  const char *fields[][2] = {
      {":path", path}, {":authority", host}, {"user-agent", "bench/1.0"}, {"accept", "*/*"},
      {"x-request-id", "6b3e2f1a-7c1d-4f2b-9a53-0d8f6a2b1c11"},
      {"traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
      {"content-type", "application/grpc"}, {"te", "trailers"},
  };
  int is_grpc = message_bytes >= 0, count = is_grpc ? 8 : 6;
  first_head[first_bytes++] = later_head[later_bytes++] = is_grpc ? 0x83 : 0x82;
  first_head[first_bytes++] = later_head[later_bytes++] = 0x86;
  for (int i = 0; i < count; i++) {
    first_bytes += put_literal(first_head + first_bytes, fields[i][0], fields[i][1], 1);
    later_head[later_bytes++] = (uint8_t)(0x80 | (62 + count - 1 - i));
  }
  write32(message + 1, message_bytes > 0 ? (uint32_t)message_bytes : 0);
}

static void ask(Line *line, Call *call) {
  Client *client = line->more;
  call->stream = client->next;
  call->is_answered = 0;
  call->body = 0;
  call->began = now_ns();
  client->next += 2;
  int flags = END_HEADERS | (message_bytes < 0 ? END_STREAM : 0);
  if (client->has_head) put_frame(line, HEADERS, flags, call->stream, later_head, (uint32_t)later_bytes);
  else put_frame(line, HEADERS, flags, call->stream, first_head, (uint32_t)first_bytes);
  client->has_head = 1;
  if (message_bytes >= 0) put_frame(line, DATA, END_STREAM, call->stream, message, (uint32_t)message_bytes + 5);
}

static void finish(Line *line, Call *call) {
  uint64_t expected = (uint64_t)(message_bytes >= 0 ? message_bytes + 5 : expected_body);
  if ((message_bytes >= 0 || expected_body >= 0) && call->body != expected)
    note_error("wrong length of a body", (unsigned)call->body);
  total++;
  if (is_recording) note_latency(now_ns() - call->began);
  ask(line, call);
}

static Call *call_of(Client *client, uint32_t stream) {
  for (int i = 0; i < streams; i++)
    if (client->calls[i].stream == stream) return &client->calls[i];
  return NULL;
}

static void take_head(Call *call, const Frame *frame) {
  const uint8_t *at = frame->payload;
  /* Updates of the table's size come first. */
  while ((*at & 0xe0) == 0x20) {
    if ((*at++ & 0x1f) == 0x1f) while (*at++ & 0x80) continue;
  }
  if (!call->is_answered && *at != 0x88) note_error("no 200: the head begins with", *at);
  call->is_answered = 1;
}

static int take(Line *line, const Frame *frame) {
  Client *client = line->more;
  if (frame->type == SETTINGS && !client->is_ready) {
    client->is_ready = 1;
    for (int i = 0; i < streams; i++) ask(line, &client->calls[i]);
  }
  if (frame->type == GOAWAY) note_error("GOAWAY", read32(frame->payload + 4));
  if (frame->type == RST_STREAM) note_error("RST_STREAM", read32(frame->payload));
  if (frame->type != HEADERS && frame->type != DATA && frame->type != RST_STREAM) return 0;
  Call *call = call_of(client, frame->stream);
  if (call == NULL) return 0;
  if (frame->type == RST_STREAM) ask(line, call);
  else if (frame->flags & (PADDED | PRIORITY) || (frame->type == HEADERS && !(frame->flags & END_HEADERS)))
    note_error("a frame that is not understood here", frame->flags);
  else {
    if (frame->type == HEADERS) take_head(call, frame);
    else call->body += frame->length;
    if (is_recording) bytes_read += FRAME_HEAD + frame->length;
    if (frame->flags & END_STREAM) finish(line, call);
  }
  return 0;
}

static Line *open_line(void) {
  Line *line = calloc(1, sizeof *line);
  Client *client = calloc(1, sizeof *client + (size_t)streams * sizeof(Call));
  if (line == NULL || client == NULL) die("calloc");
  line->more = client;
  client->next = 1;
  line->fd = new_socket();
  struct sockaddr_in to = address_of(address, port);
  if (connect(line->fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS) die("connect");
  watch(line, EPOLL_CTL_ADD, 0);
  memcpy(room_for(&line->out, 24), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
  put_settings(line);
  flush(line);
  return line;
}

static void run_until(uint64_t end) {
  static struct epoll_event events[EVENTS_MAX];
  for (uint64_t now; (now = now_ns()) < end && errors < ERRORS_MAX;) {
    struct timespec wait = {(time_t)((end - now) / 1000000000ull), (long)((end - now) % 1000000000ull)};
    int count = epoll_pwait2(poller, events, EVENTS_MAX, &wait, NULL);
    for (int i = 0; i < count; i++) {
      Line *line = events[i].data.ptr;
      if (events[i].events & ~(uint32_t)EPOLLOUT && receive(line, take) < 0) {
        note_error("a connection ended", 0);
        errors = ERRORS_MAX;
        return;
      }
      flush(line);
    }
  }
}

static void read_options(int count, char **values) {
  for (int option; (option = getopt(count, values, "a:p:c:S:d:w:u:H:b:L:P:")) != -1;) {
    switch (option) {
      case 'a': address = optarg; break;
      case 'p': port = atoi(optarg); break;
      case 'c': connections = atoi(optarg); break;
      case 'S': streams = atoi(optarg); break;
      case 'd': duration = atof(optarg); break;
      case 'w': warm_up = atof(optarg); break;
      case 'u': path = optarg; break;
      case 'H': host = optarg; break;
      case 'b': message_bytes = atol(optarg); break;
      case 'L': expected_body = atol(optarg); break;
      case 'P': read_pids(optarg); break;
      default: exit(2);
    }
  }
  if (port == 0 || connections <= 0 || streams <= 0 || streams > STREAMS_MAX) exit(2);
  if (message_bytes + 5 > FRAME_MAX) exit(2);
}

int main(int count, char **values) {
  begin_program();
  read_options(count, values);
  make_heads();
  for (int i = 0; i < connections; i++) open_line();
  run_until(now_ns() + (uint64_t)(warm_up * 1e9));
  Cpu before = cpu_now();
  uint64_t began = now_ns();
  is_recording = 1;
  run_until(began + (uint64_t)(duration * 1e9));
  is_recording = 0;
  double seconds = (double)(now_ns() - began) / 1e9;
  Cpu after = cpu_now();
  print_result((Result){before, after, rss_kb(), seconds, bytes_read, total, 0, 0, errors, first_error});
  return 0;
}
