// A bare send loop: the least that a server on sockets can do. GET answers the
// head of an event stream and keeps the connection; POST sends its body to all
// of those, one send each, and then answers. One thread, nothing is checked that
// the benchmark beside it does not do wrong.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_FD = 65536, MAX_REQUEST = 16384 };

static int subs[MAX_FD], where[MAX_FD], count;
static struct { char *text; int size; } partial[MAX_FD];

static void leave(int fd) {
	if (where[fd]) {
		int last = subs[--count];
		subs[where[fd] - 1] = last;
		where[last] = where[fd];
		where[fd] = 0;
	}
	free(partial[fd].text);
	partial[fd].text = NULL;
	partial[fd].size = 0;
	close(fd);
}

static void publish(const char *body, int size) {
	char event[MAX_REQUEST + 16];
	int n = sprintf(event, "data: ");
	memcpy(event + n, body, size);
	memcpy(event + n + size, "\n\n", 2);
	for (int i = 0; i < count; i++)
		send(subs[i], event, n + size + 2, MSG_DONTWAIT | MSG_NOSIGNAL);
}

// serve answers whole requests and returns how many bytes they took, or -1.
static int serve(int fd, char *text, int size) {
	char *end = memmem(text, size, "\r\n\r\n", 4);
	if (!end)
		return 0;
	int head = end + 4 - text;
	if (text[0] == 'G') {
		static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
		subs[count++] = fd;
		where[fd] = count;
		return send(fd, ok, sizeof ok - 1, MSG_NOSIGNAL) < 0 ? -1 : head;
	}
	*end = 0;
	char *length = strcasestr(text, "\r\ncontent-length:");
	*end = '\r';
	int body = length ? atoi(length + 17) : 0;
	if (head + body > size)
		return 0;
	publish(text + head, body);
	static const char done[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
	return send(fd, done, sizeof done - 1, MSG_NOSIGNAL) < 0 ? -1 : head + body;
}

static void readable(int fd) {
	if (!partial[fd].text)
		partial[fd].text = malloc(MAX_REQUEST);
	int room = MAX_REQUEST - partial[fd].size;
	int n = recv(fd, partial[fd].text + partial[fd].size, room, MSG_DONTWAIT);
	if (n <= 0 && !(n < 0 && errno == EAGAIN)) {
		leave(fd);
		return;
	}
	partial[fd].size += n > 0 ? n : 0;
	for (;;) {
		int used = serve(fd, partial[fd].text, partial[fd].size);
		if (used < 0) {
			leave(fd);
			return;
		}
		if (used == 0)
			break;
		partial[fd].size -= used;
		memmove(partial[fd].text, partial[fd].text + used, partial[fd].size);
	}
	if (partial[fd].size == 0) {
		free(partial[fd].text);
		partial[fd].text = NULL;
	}
}

int main(int argc, char **argv) {
	struct rlimit limit;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), yes = 1;
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1])), .sin_addr = {htonl(INADDR_LOOPBACK)}};
	if (bind(listener, (struct sockaddr *)&a, sizeof a) || listen(listener, 4096))
		return perror("listen"), 1;
	int ep = epoll_create1(0);
	struct epoll_event e = {.events = EPOLLIN, .data.fd = listener}, got[512];
	epoll_ctl(ep, EPOLL_CTL_ADD, listener, &e);
	for (;;) {
		int n = epoll_wait(ep, got, 512, -1);
		for (int i = 0; i < n; i++) {
			int fd = got[i].data.fd;
			if (fd != listener) {
				readable(fd);
				continue;
			}
			while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
				setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
				e.data.fd = fd;
				epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
			}
		}
	}
}
