import { Agent as HttpAgent, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';

/** Shorter than any server keeps an idle connection, so that none is used while the server closes it. */
const IDLE_MS = 1000;

/** As much of an answer as is kept for whoever asks. */
const BODY_LIMIT_CHARS = 64 * 1024;

export interface Posted {
  /** An HTTP status, `timeout`, or the code of what went wrong on the way: `ECONNREFUSED`. */
  answer: string;
  /** The beginning of what was answered. */
  body: string;
}

/** Posts forms as Bitrix24's queue server does: no redirects followed, nothing repeated. */
export class FormSender {
  private readonly httpAgent = new HttpAgent({ keepAlive: true, timeout: IDLE_MS });
  private readonly httpsAgent = new HttpsAgent({ keepAlive: true, timeout: IDLE_MS });
  private readonly stopping = new AbortController();

  /** Never rejects. */
  post(url: string, form: string, timeoutMs: number): Promise<Posted> {
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
        resolve({ answer: 'timeout', body: '' });
        sent.destroy();
      });
      sent.on('error', (error) => {
        resolve({ answer: 'code' in error ? String(error.code) : 'error', body: '' });
      });
      sent.on('response', (response) => {
        let body = '';
        response.setEncoding('utf8');
        response.on('data', (text: string) => {
          if (body.length < BODY_LIMIT_CHARS) body += text;
        });
        response.on('close', () => {
          resolve({ answer: String(response.statusCode), body });
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
