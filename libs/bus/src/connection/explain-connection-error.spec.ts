import { describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { explainConnectionError } from './explain-connection-error.js';

function amqp(words: string): Error {
  return new Error(`Operation failed: QueueDeclare; 406 (PRECONDITION-FAILED) with message "${words}"`);
}

function postgres(code: string, message: string): Error {
  const error = new pg.DatabaseError(message, message.length, 'error');
  error.code = code;
  return error;
}

const coded = (code: string, message: string): Error => Object.assign(new Error(message), { code });

describe('explanations of broker errors', () => {
  it.each([
    [
      "PRECONDITION_FAILED - inequivalent arg 'x-message-ttl' for queue 'b24.a.retry.5s' in vhost '/': received the value '5000' of type 'signedint' but current is none",
      /^The queue b24\.a\.retry\.5s of the virtual host \/ exists with another x-message-ttl.*rabbitmqctl -p '\/' delete_queue 'b24\.a\.retry\.5s'/,
    ],
    [
      "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'b24.events' in vhost 'v': received 'topic' but current is 'fanout'",
      /^The exchange b24\.events of the virtual host v exists with another type.*management/,
    ],
    [
      "ACCESS_REFUSED - access to queue 'b24.a.0' in vhost 'v' refused for user 'u'",
      /may not do what is needed with the queue b24\.a\.0: rabbitmqctl set_permissions -p 'v'/,
    ],
    [
      "ACCESS_REFUSED - write access to exchange 'b24.events' in vhost 'v' refused for user 'u'",
      /may not do what is needed with the exchange b24\.events/,
    ],
    [
      "ACCESS_REFUSED - write access to topic 'a.0.1' in exchange 'b24.events' in vhost 'v' refused for user 'u'",
      /with the topic a\.0\.1: rabbitmqctl set_permissions -p 'v'/,
    ],
    [
      'ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN.',
      /rejects the user or the password in AMQP_URL/,
    ],
  ])('needs a person: %s', (words, expected) => {
    const explained = explainConnectionError(amqp(words), 'AMQP_URL');
    expect(explained.requiresOperator).toBe(true);
    expect(explained.reason).toMatch(expected);
  });

  it.each([
    [
      "NOT_FOUND - no exchange 'b24.events' in vhost 'v'",
      /^The exchange b24\.events was deleted.*Restart the consumers/,
    ],
    [
      'PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: 1800000 ms. This timeout value can be configured',
      /consumer_timeout \(1800 s\)/,
    ],
    [
      'CONNECTION_FORCED - broker forced connection closure with reason shutdown',
      /forced connection closure with reason shutdown\.$/,
    ],
  ])('passes: %s', (words, expected) => {
    const explained = explainConnectionError(amqp(words), 'AMQP_URL');
    expect(explained.requiresOperator).toBe(false);
    expect(explained.reason).toMatch(expected);
  });

  it('finds the reason in the chain of causes', () => {
    const error = new Error('The queues could not be made', {
      cause: new Error('outer', { cause: coded('ECONNREFUSED', 'connect ECONNREFUSED 127.0.0.1:5672') }),
    });
    expect(explainConnectionError(error, 'AMQP_URL').reason).toBe(
      'Nothing answers at the address in AMQP_URL (the connection is refused).',
    );
  });
});

describe('explanations of database errors', () => {
  it.each([
    [
      '42501',
      'permission denied for table messages',
      /no permission for table messages.*GRANT SELECT, INSERT/,
      true,
    ],
    ['42P01', 'relation "bus.messages" does not exist', /run `npm run migrate`/, true],
    ['28P01', 'password authentication failed for user "u"', /rejects the password in DATABASE_URL/, true],
    ['3D000', 'database "x" does not exist', /does not exist: create it first/, true],
    ['25006', 'cannot execute INSERT in a read-only transaction', /only reads/, true],
    ['53300', 'sorry, too many clients already', /max_connections/, true],
    ['57P03', 'the database system is starting up', /is starting/, false],
  ])('%s %s', (code, message, expected, requiresOperator) => {
    const explained = explainConnectionError(postgres(code, message), 'DATABASE_URL');
    expect(explained.reason).toMatch(expected);
    expect(explained.requiresOperator).toBe(requiresOperator);
  });

  it.each([
    ['', 'Connection terminated unexpectedly', /DATABASE_URL was cut/],
    ['', 'Connection terminated due to connection timeout', /no answer in time/],
    ['ENOTFOUND', 'getaddrinfo ENOTFOUND nowhere', /host name in DATABASE_URL is not known/],
    ['DEPTH_ZERO_SELF_SIGNED_CERT', 'self-signed certificate', /TLS with the server at DATABASE_URL fails/],
  ])('%s %s', (code, message, expected) => {
    expect(explainConnectionError(coded(code, message), 'DATABASE_URL').reason).toMatch(expected);
  });
});

it('passes an unknown error on without secrets, on one line', () => {
  const error = new Error('no luck at\namqp://relay:s3cr3t@broker:5672/x');
  const { reason } = explainConnectionError(error, 'AMQP_URL');
  expect(reason).toMatch(/^no luck at amqp:/);
  expect(reason).not.toContain('s3cr3t');
});
