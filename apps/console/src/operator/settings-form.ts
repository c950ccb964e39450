/** A form from the JSON Schema that a consumer declared for its settings, and back. The server checks what it makes. */

export type Value = string | number | boolean | null | Value[] | { [key: string]: Value };

export interface Field {
  /** Keys from the settings down to the value. */
  path: readonly string[];
  /** `json`: a shape that has no input of its own. */
  kind: 'choice' | 'flag' | 'text' | 'number' | 'numbers' | 'texts' | 'json';
  /** Of a `choice`. */
  options: readonly string[];
  description: string;
  /** What applies when it is not set, as far as the schema says. */
  otherwise: string;
}

/** What an input has: empty for a value that is not set. */
export type Inputs = Record<string, string>;

/** A schema that is no schema makes a form of one JSON field, and never an error. */
const MAX_DEPTH = 4;

export function fieldsOf(schema: unknown, path: readonly string[] = []): Field[] {
  const properties = recordIn(recordIn(schema)?.['properties']);
  if (!properties || path.length >= MAX_DEPTH) return [fieldOf(schema, path)];
  return Object.entries(properties).flatMap(([key, part]) => {
    const below = [...path, key];
    return recordIn(recordIn(part)?.['properties']) ? fieldsOf(part, below) : [fieldOf(part, below)];
  });
}

export function nameOf({ path }: Field): string {
  return path.join('.');
}

/** What the inputs show of settings as they are stored. */
export function inputsOf(fields: readonly Field[], settings: unknown): Inputs {
  return Object.fromEntries(
    fields.map((field) => [nameOf(field), textOf(field, valueAt(settings, field.path))]),
  );
}

/** @throws SyntaxError naming the field whose JSON cannot be read */
export function settingsIn(fields: readonly Field[], inputs: Inputs): Record<string, Value> {
  const settings: Record<string, Value> = {};
  for (const field of fields) {
    const text = (inputs[nameOf(field)] ?? '').trim();
    if (text !== '') put(settings, field.path, valueOf(field, text));
  }
  return settings;
}

/** What the form has no field for: it would be lost, so that the form is no form for these settings. */
export function unknownIn(fields: readonly Field[], settings: unknown): string[] {
  const known = fields.map(nameOf);
  const leaves = (value: unknown, path: string): string[] => {
    if (known.includes(path)) return [];
    const record = recordIn(value);
    if (!record) return [path];
    return Object.entries(record).flatMap(([key, part]) =>
      leaves(part, path === '' ? key : `${path}.${key}`),
    );
  };
  return leaves(recordIn(settings) ?? {}, '');
}

function fieldOf(schema: unknown, path: readonly string[]): Field {
  const { type, enum: options, items, description, default: otherwise } = recordIn(schema) ?? {};
  const texts = Array.isArray(options) ? options.filter((one) => typeof one === 'string') : [];
  return {
    path,
    kind: kindOf(type, texts, recordIn(items)?.['type']),
    options: texts,
    description: typeof description === 'string' ? description : '',
    otherwise: shown(otherwise),
  };
}

function kindOf(type: unknown, options: readonly string[], item: unknown): Field['kind'] {
  if (options.length > 0) return 'choice';
  if (type === 'boolean') return 'flag';
  if (type === 'string') return 'text';
  if (type === 'integer' || type === 'number') return 'number';
  if (type === 'array' && (item === 'integer' || item === 'number')) return 'numbers';
  if (type === 'array' && item === 'string') return 'texts';
  return 'json';
}

function textOf({ kind }: Field, value: unknown): string {
  return kind === 'json' && value !== undefined ? JSON.stringify(value) : shown(value);
}

/** As the inputs have it: a list is separated by commas. */
function shown(value: unknown): string {
  if (value === undefined) return '';
  if (Array.isArray(value)) return value.map(shown).join(', ');
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function valueOf(field: Field, text: string): Value {
  const parts = text.split(',').map((part) => part.trim());
  switch (field.kind) {
    case 'flag':
      return text === 'true';
    case 'number':
      return numberOr(text);
    case 'numbers':
      return parts.filter((part) => part !== '').map(numberOr);
    case 'texts':
      return parts.filter((part) => part !== '');
    case 'json':
      return parsed(field, text);
    case 'choice':
    case 'text':
      return text;
    default:
      return field.kind satisfies never;
  }
}

/** A text that is no number goes to the server as it is, which says what is wrong with it. */
function numberOr(text: string): Value {
  const number = Number(text);
  return Number.isFinite(number) ? number : text;
}

function parsed(field: Field, text: string): Value {
  try {
    const value: Value = JSON.parse(text);
    return value;
  } catch (cause) {
    throw new SyntaxError(`${nameOf(field)} is no JSON`, { cause });
  }
}

function valueAt(settings: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>((value, key) => {
    const record = recordIn(value);
    return record && Object.hasOwn(record, key) ? record[key] : undefined;
  }, settings);
}

function put(settings: Record<string, Value>, path: readonly string[], value: Value): void {
  const [key = '', ...rest] = path;
  if (rest.length === 0) {
    settings[key] = value;
    return;
  }
  const there = settings[key];
  const below = typeof there === 'object' && there !== null && !Array.isArray(there) ? there : {};
  settings[key] = below;
  put(below, rest, value);
}

function recordIn(value: unknown): Record<string, unknown> | undefined {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- any object has text keys and unknown values
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
}
