import { Agent as HttpAgent, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';

/** Shorter than any server keeps an idle connection, so that none is used while the server closes it. */
const idleMs = 1000;

/** Posts forms as Bitrix24's queue server does: no redirects followed, nothing repeated. */
export class FormSender {
  private readonly httpAgent = new HttpAgent({ keepAlive: true, timeout: idleMs });
  private readonly httpsAgent = new HttpsAgent({ keepAlive: true, timeout: idleMs });
  private readonly stopping = new AbortController();

  /**
   * The answer's HTTP status, `timeout`, or the code of what went wrong on the way (`ECONNREFUSED`). Never
   * rejects.
   */
  post(url: string, form: string, timeoutMs: number): Promise<string> {
    return new Promise((resolve) => {
      const isHttps = url.startsWith('https:');
      const headers = {
        'content-type': 'application/x-www-form-urlencoded',
        'content-length': Buffer.byteLength(form),
        'user-agent': 'Bitrix24 Webhook Engine',
      };
      const options = { method: 'POST', headers, timeout: timeoutMs, signal: this.stopping.signal };
      const sent = isHttps
        ? httpsRequest(url, { ...options, agent: this.httpsAgent })
        : httpRequest(url, { ...options, agent: this.httpAgent });
      sent.on('timeout', () => {
        resolve('timeout');
        sent.destroy();
      });
      sent.on('error', (error) => {
        resolve('code' in error ? String(error.code) : 'error');
      });
      sent.on('response', (response) => {
        response.resume();
        response.on('close', () => {
          resolve(String(response.statusCode));
        });
      });
      sent.end(form);
    });
  }

  stop(): void {
    this.stopping.abort();
    this.httpAgent.destroy();
    this.httpsAgent.destroy();
  }
}
