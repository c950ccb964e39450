import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { request as forward, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';

/**
 * A TLS proxy that gives a portal an address as in production, `https://<host>/rest/…`, with a self-signed certificate:
 * some clients accept no other. It forwards requests to a portal of the simulator unchanged.
 */
export class TlsFront {
  private constructor(
    /** The certificate that a client must trust, PEM. */
    readonly certificate: string,
    /** `https://localhost:<port>` */
    readonly url: string,
    private readonly server: Server,
  ) {}

  static async start(simulatorUrl: string, portal: string): Promise<TlsFront> {
    const { key, certificate } = selfSigned();
    const server = createServer({ key, cert: certificate }, (request, response) => {
      pass(request, response, `${simulatorUrl}/portals/${portal}${request.url}`);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = z.object({ port: z.number() }).parse(server.address());
    return new TlsFront(certificate, `https://localhost:${port}`, server);
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

function pass(request: IncomingMessage, response: ServerResponse, url: string): void {
  const { method, headers } = request;
  const passed = forward(url, { method, headers }, (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(response);
  });
  passed.on('error', () => response.destroy());
  request.pipe(passed);
}

/** A certificate for `localhost`, valid for a day. */
function selfSigned(): { key: string; certificate: string } {
  const folder = mkdtempSync(join(tmpdir(), 'tls-front-'));
  try {
    const [key, certificate] = [join(folder, 'key.pem'), join(folder, 'certificate.pem')];
    const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
    const made = ['-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', certificate, '-days', '1'];
    execFileSync('openssl', ['req', '-x509', ...made, ...subject], { stdio: 'pipe' });
    return { key: readFileSync(key, 'utf8'), certificate: readFileSync(certificate, 'utf8') };
  } finally {
    rmSync(folder, { recursive: true });
  }
}
