import type { Log } from '@relay/platform';
import { inspect } from 'node:util';

export interface Line {
  level: 'debug' | 'info' | 'warn' | 'error';
  fields: object;
  message: string;
}

/** Records what a process would log. */
export class RecordedLog implements Log {
  readonly lines: Line[] = [];

  debug(fields: object, message: string): void {
    this.lines.push({ level: 'debug', fields, message });
  }
  info(fields: object, message: string): void {
    this.lines.push({ level: 'info', fields, message });
  }
  warn(fields: object, message: string): void {
    this.lines.push({ level: 'warn', fields, message });
  }
  error(fields: object, message: string): void {
    this.lines.push({ level: 'error', fields, message });
  }

  /** Lines that an operator reads: without `debug`. */
  read(level?: Line['level']): Line[] {
    return this.lines.filter((line) => (level ? line.level === level : line.level !== 'debug'));
  }

  /** Lines of all levels, with every property of every error. */
  text(): string {
    return inspect(this.lines, { depth: 10, maxStringLength: null });
  }
}
