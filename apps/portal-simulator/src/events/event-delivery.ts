import { Agent as HttpAgent, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';

interface EventQueueOptions<E> {
  /** How many requests are in flight; a slow handler is therefore called less often. */
  concurrency: () => number;
  /** Sends one event, once: it is not repeated after a failure (api-reference/events/index.md). */
  send: (event: E) => Promise<void>;
}

/** The queue of online events of one portal: in order, with bounded concurrency, without retries. */
export class EventQueue<E> {
  private waiting: E[] = [];
  private next = 0;
  private inFlight = 0;
  private isStopped = false;

  constructor(private readonly options: EventQueueOptions<E>) {}

  /** Events that wait or are in flight. */
  get pending(): number {
    return this.waiting.length - this.next + this.inFlight;
  }

  push(event: E): void {
    if (this.isStopped) return;
    this.waiting.push(event);
    setImmediate(() => {
      this.pump();
    });
  }

  stop(): void {
    this.isStopped = true;
    this.waiting = [];
    this.next = 0;
  }

  private pump(): void {
    while (this.inFlight < this.options.concurrency()) {
      const event = this.take();
      if (event === undefined) return;
      this.inFlight += 1;
      void this.options.send(event).finally(() => {
        this.inFlight -= 1;
        this.pump();
      });
    }
  }

  private take(): E | undefined {
    const event = this.waiting[this.next];
    if (event === undefined) return undefined;
    this.next += 1;
    if (this.next === this.waiting.length) {
      this.waiting = [];
      this.next = 0;
    } else if (this.next >= 4096) {
      this.waiting = this.waiting.slice(this.next);
      this.next = 0;
    }
    return event;
  }
}

/** Shorter than any server's keep-alive timeout, so that no connection is used while the server closes it. */
const IDLE_TIMEOUT_MS = 1000;

/** How much of a response body is kept. */
const MAX_BODY_CHARS = 64 * 1024;

export interface PostResult {
  /** An HTTP status, `timeout`, or the error code of the connection: `ECONNREFUSED`. */
  outcome: string;
  /** The beginning of the response body. */
  body: string;
}

/** Posts forms as Bitrix24's queue server does: follows no redirect, repeats nothing. */
export class FormSender {
  private readonly httpAgent = new HttpAgent({ keepAlive: true, timeout: IDLE_TIMEOUT_MS });
  private readonly httpsAgent = new HttpsAgent({ keepAlive: true, timeout: IDLE_TIMEOUT_MS });
  private readonly stopping = new AbortController();

  /** Never rejects. */
  post(url: string, form: string, timeoutMs: number): Promise<PostResult> {
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
        resolve({ outcome: 'timeout', body: '' });
        sent.destroy();
      });
      sent.on('error', (error) => {
        resolve({ outcome: 'code' in error ? String(error.code) : 'error', body: '' });
      });
      sent.on('response', (response) => {
        let body = '';
        response.setEncoding('utf8');
        response.on('data', (text: string) => {
          if (body.length < MAX_BODY_CHARS) body += text;
        });
        response.on('close', () => {
          resolve({ outcome: String(response.statusCode), body });
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
