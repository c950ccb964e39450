import type { FastifyReply, FastifyRequest } from 'fastify';
import type { NetworkFault } from './faults.js';

/** What a fault makes of an answer. `body` is what would have been sent, `elsewhere` where a redirect leads. */
export async function sendNetworkFault(
  request: FastifyRequest,
  reply: FastifyReply,
  { kind, status }: NetworkFault,
  { body, elsewhere }: { body: object; elsewhere: string },
): Promise<void> {
  switch (kind) {
    case 'slow':
      await reply.send(body);
      return;
    case 'html':
      await sendHtml(reply, status ?? 502);
      return;
    case 'empty':
      await reply.code(status ?? 200).send('');
      return;
    case 'garbled':
      await sendText(reply, status ?? 200, '{"result":{"items":[{"id":1,"na');
      return;
    case 'odd':
      await sendText(reply, status ?? 200, '["an answer that nobody expects"]');
      return;
    case 'redirect':
      await sendRedirect(reply, elsewhere);
      return;
    case 'hang':
      reply.hijack();
      return;
    case 'cut':
      cut(request, reply);
      return;
    case 'drop':
    case 'lost':
      reply.hijack();
      request.raw.socket.destroy();
  }
}

/** 302 as the server in front of a portal writes it: with a page. */
export async function sendRedirect(reply: FastifyReply, to: string): Promise<void> {
  await reply.header('location', to).code(302).type('text/html').send(page('302 Found'));
}

async function sendHtml(reply: FastifyReply, status: number): Promise<void> {
  await reply
    .code(status)
    .type('text/html')
    .send(page(`${status} ${STATUS_TEXTS[status] ?? 'Error'}`));
}

async function sendText(reply: FastifyReply, status: number, text: string): Promise<void> {
  await reply.code(status).type('application/json; charset=utf-8').send(text);
}

/** The beginning of an answer that promised more. */
function cut(request: FastifyRequest, reply: FastifyReply): void {
  reply.hijack();
  reply.raw.writeHead(200, { 'content-type': 'application/json; charset=utf-8', 'content-length': '4096' });
  reply.raw.write('{"result":{"items":[{"id":1,"na', () => {
    request.raw.socket.destroy();
  });
}

const STATUS_TEXTS: Readonly<Record<number, string>> = {
  200: 'OK',
  403: 'Forbidden',
  404: 'Not Found',
  500: 'Internal Server Error',
  502: 'Bad Gateway',
  503: 'Service Temporarily Unavailable',
  504: 'Gateway Time-out',
};

function page(title: string): string {
  return `<html>\r\n<head><title>${title}</title></head>\r\n<body>\r\n<center><h1>${title}</h1></center>\r\n</body>\r\n</html>\r\n`;
}
