/** Why a body is not a form that we read. */
export type FormErrorCode =
  'invalid-utf8' | 'too-many-pairs' | 'too-deep' | 'too-many-arrays' | 'key-too-long';

/** Thrown by {@link decodeForm}. Its message never repeats the input. */
export class FormError extends Error {
  override readonly name = 'FormError';

  constructor(
    readonly code: FormErrorCode,
    message: string,
  ) {
    super(message);
  }
}
