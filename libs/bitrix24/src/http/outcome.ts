/**
 * Whether a request was delivered: `no`, certainly not, so that it was not executed; `yes`, there was a response,
 * possibly from a server in front of the portal; `unknown`, it was sent and then the connection failed or the request
 * timed out.
 */
export type Delivered = 'no' | 'unknown' | 'yes';

/** The defect of a `BAD_ANSWER`. */
export type ResponseDefect =
  | 'html'
  | 'empty'
  /** Truncated. */
  | 'cut'
  | 'not-json'
  /** JSON, but not as documented. */
  | 'wrong-shape'
  | 'too-long'
  /** Nested deeper than any response of Bitrix24. */
  | 'too-deep'
  /** This process has not enough free memory to read it now. */
  | 'no-room'
  | 'not-utf8'
  /** A content encoding that was not requested, or that cannot be decoded. */
  | 'bad-encoding';
