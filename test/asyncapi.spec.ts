import { describe, expect, it } from '@jest/globals';
import { describeBus } from '@relay/bus';
import { decodeForm, encodeMessage, openEvent, parseEnvelope } from '@relay/events';
import { Ajv } from 'ajv';
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { z } from 'zod';
import { httpBody } from '../libs/events/test/http-build-query.js';
import { eventSamples } from '../libs/events/test/samples.js';

const document: unknown = parse(readFileSync('docs/asyncapi.yaml', 'utf8'));
const { components } = z
  .object({
    components: z.object({
      messages: z.record(z.string(), z.object({ payload: z.record(z.string(), z.unknown()) })),
    }),
  })
  .parse(document);

describe('docs/asyncapi.yaml', () => {
  it('is what npm run asyncapi writes', () => {
    expect(document).toEqual(describeBus());
  });

  it('is a document of AsyncAPI 3.0, by the official JSON schema', () => {
    // Not the package itself, which reads the schemas of all versions.
    const schema = object(
      JSON.parse(readFileSync('node_modules/@asyncapi/specs/schemas/3.0.0.json', 'utf8')),
    );
    // It brings the schema of JSON schemas along.
    const own = { meta: false, validateSchema: false };
    const validate = new Ajv({ strict: false, validateFormats: false, ...own }).compile(schema);
    validate(document);
    expect(validate.errors ?? []).toEqual([]);
    // A document that says nothing of the kind.
    expect(validate({ ...describeBus(), operations: { takeEvents: { action: 'take' } } })).toBe(false);
  });

  it('refers only to what it has', () => {
    const refs = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map(([, ref = '']) => ref);
    expect(refs.length).toBeGreaterThan(100);
    expect(refs.filter((ref) => resolve(ref) === undefined)).toEqual([]);
  });

  // With the document as the root, so that references work as they do for a reader.
  const ajv = new Ajv({ strict: false, validateFormats: false }).addSchema({
    $id: 'bus',
    ...object(document),
  });
  const validators = Object.keys(components.messages).map((name) => {
    const matches = ajv.compile({ $ref: `bus#/components/messages/${name}/payload` });
    return { name, matches };
  });
  const accepting = (message: unknown): string[] =>
    validators.filter(({ matches }) => matches(message)).map(({ name }) => name);

  it.each(eventSamples())('has the message of $event ($doc)', ({ body }) => {
    const form = decodeForm(httpBody(body));
    const event = openEvent(form, parseEnvelope(form), 1_766_047_125_250);
    const message: unknown = JSON.parse(encodeMessage(event).toString());
    const documented = ['AnyEvent', 'WaitingEvent', 'DeadEvent'];
    const accepted = accepting(message);
    expect(accepted).toEqual(expect.arrayContaining(documented));
    expect(accepted).toHaveLength(documented.length + 1);
    expect(accepting({ ...object(message), data: { FIELDS: 1 } })).toEqual([]);
    expect(accepting({ ...object(message), v: 2 })).toEqual([]);
  });
});

function resolve(ref: string): unknown {
  return ref
    .split('/')
    .slice(1)
    .reduce<unknown>((at, key) => object(at)[key], document);
}

function object(value: unknown): Record<string, unknown> {
  return z.record(z.string(), z.unknown()).parse(value);
}
