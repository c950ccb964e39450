/**
 * Whether a request reached the other side: `no`, surely not, so that nothing can have been done of it; `yes`, it was
 * answered, be it by what stands before the portal; `unknown`, it was sent and the connection broke or the time ran out.
 */
export type Delivered = 'no' | 'unknown' | 'yes';

/** In what way a `BAD_ANSWER` was bad. */
export type ResponseDefect =
  | 'html'
  | 'empty'
  /** It ended too early. */
  | 'cut'
  | 'not-json'
  /** JSON, but not what the documentation promises. */
  | 'wrong-shape'
  | 'too-long'
  /** Nested deeper than any answer of Bitrix24. */
  | 'too-deep'
  /** This process has too much in hand to read it now. */
  | 'no-room'
  | 'not-utf8'
  /** Packed in a way that was not asked for, or that cannot be unpacked. */
  | 'bad-encoding';
