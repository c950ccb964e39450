/** Asks the control interface of the simulator; throws what it answered when it would not. */
export async function control(method: string, url: string, body?: unknown): Promise<unknown> {
  const answer = await fetch(url, {
    method,
    ...(body !== undefined && {
      body: JSON.stringify(body),
      headers: { 'content-type': 'application/json' },
    }),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${url} answered ${answer.status}: ${text}`);
  return JSON.parse(text);
}

/** An answer of one JSON document a line, as it comes. */
export async function* controlLines(url: string): AsyncGenerator {
  const answer = await fetch(url);
  if (!answer.ok || !answer.body) throw new Error(`GET ${url} answered ${answer.status}`);
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of answer.body) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) yield JSON.parse(line);
  }
  if (rest !== '') throw new Error(`GET ${url} ended within a line`);
}
