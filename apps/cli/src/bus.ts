import { z } from 'zod';
import type { OpsClient } from './ops-client.js';
import type { Report } from './report.js';

const round = z.object({
  none: z.boolean(),
  messages: z.number(),
  letters: z.number(),
  unrouted: z.number(),
  done: z.boolean(),
  served: z.array(z.string()),
  failed: z.array(z.string()),
});
type Round = z.output<typeof round>;

/** Runs in rounds of some seconds. The exit code is 1 if something could not be moved. */
export async function moveBus(api: OpsClient): Promise<Report> {
  let total = round.parse(await api.send('POST', '/bus/move'));
  while (!total.done && total.failed.length === 0) {
    if (process.stderr.isTTY) process.stderr.write(`${countOf(total)} so far\n`);
    const next = round.parse(await api.send('POST', '/bus/move'));
    total = {
      ...next,
      messages: total.messages + next.messages,
      letters: total.letters + next.letters,
      unrouted: total.unrouted + next.unrouted,
    };
  }
  return { value: total, text: textOf(total), isBad: total.failed.length > 0 };
}

function textOf(total: Round): string {
  if (total.none)
    return 'There is no other bus: neither AMQP_URL nor PREVIOUS_AMQP_URL is set at the gateway.';
  const lines = [`Moved from the bus of before: ${countOf(total)}.`];
  for (const name of total.failed) lines.push(`${name} COULD NOT BE MOVED: see the log of the gateway`);
  for (const name of total.served)
    lines.push(
      `${name}: its processes still work on the bus of before; end them, and what waits there is moved`,
    );
  return lines.join('\n');
}

function countOf({ messages, letters, unrouted }: Round): string {
  return `${messages} events, ${letters} dead letters, ${unrouted} events that nobody wanted`;
}
