import { permanent, transient, type ConnectionErrorExplanation } from './explanation.js';

/**
 * RabbitMQ's rejections as amqplib reports them: one text that quotes the broker's message (tested on 3.10.8; 4.x puts
 * the kind of access before `access to`). The texts hold names of queues, exchanges, virtual hosts and users.
 */
const refusals: readonly [words: RegExp, describe: (...names: string[]) => ConnectionErrorExplanation][] = [
  [
    /inequivalent arg '([^']*)' for (queue|exchange) '([^']*)' in vhost '([^']*)'/,
    (argument = '', kind = '', name = '', vhost = '') =>
      permanent(
        `The ${kind} ${name} of the virtual host ${vhost} exists with another ${argument}, which RabbitMQ cannot change. ` +
          (kind === 'queue'
            ? `See that nothing is left in it, then delete it: rabbitmqctl -p '${vhost}' delete_queue '${name}'. `
            : `Delete it with RabbitMQ's management or rabbitmqadmin, and restart the consumers, whose bindings go with it. `) +
          'It is made anew within seconds.',
      ),
  ],
  [
    /access to (queue|exchange|topic) '([^']*)'.* in vhost '([^']*)' refused/,
    (kind = '', name = '', vhost = '') =>
      permanent(
        `The user of AMQP_URL may not do what is needed with the ${kind} ${name}: ` +
          `rabbitmqctl set_permissions -p '${vhost}' <user> '^b24\\.' '^(b24\\.|amq\\.default$)' '^b24\\.'`,
      ),
  ],
  [
    /Login was refused|ACCESS_REFUSED - Login/,
    () =>
      permanent(
        'RabbitMQ refuses the user or the password in AMQP_URL. (The user guest is let in from its own machine only.)',
      ),
  ],
  [
    // amqplib reports only this when the broker closes instead of opening the virtual host.
    /Expected ConnectionOpenOk; got <ConnectionClose|access to vhost .* refused|vhost .* not found/,
    () =>
      permanent(
        'The virtual host in AMQP_URL does not exist, or its user may not use it: rabbitmqctl add_vhost, then rabbitmqctl set_permissions.',
      ),
  ],
  [
    /no (queue|exchange) '([^']*)' in vhost/,
    (kind = '', name = '') =>
      transient(
        `The ${kind} ${name} was deleted; it is made anew.` +
          (kind === 'exchange' ? ' Restart the consumers, whose bindings went with it.' : ''),
      ),
  ],
  [
    /delivery acknowledgement on channel \d+ timed out(?:.*?(\d+) ms)?/,
    (timeoutMs) =>
      transient(
        `An event was held for longer than RabbitMQ's consumer_timeout${timeoutMs ? ` (${Number(timeoutMs) / 1000} s)` : ''}; ` +
          'what was held is delivered again. If handlers may take so long, raise consumer_timeout in rabbitmq.conf.',
      ),
  ],
  [/CONNECTION.FORCED - ([^"]*)/, (why = '') => transient(`RabbitMQ ended the connection: ${why}.`)],
  [
    /Heartbeat timeout/i,
    () =>
      transient(
        'RabbitMQ has not answered for some heartbeats: it is frozen, or the network swallows packets.',
      ),
  ],
  [
    /closed abruptly during opening handshake/,
    () =>
      transient(
        'What listens at AMQP_URL ended the connection at once: RabbitMQ is still starting, or it is another program.',
      ),
  ],
];

/** @returns undefined when the text is not a known RabbitMQ rejection */
export function explainAmqpError({ message }: Error): ConnectionErrorExplanation | undefined {
  for (const [words, describe] of refusals) {
    const match = words.exec(message);
    if (match) return describe(...match.slice(1));
  }
  return undefined;
}
