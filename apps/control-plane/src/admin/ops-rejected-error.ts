/** Why an operator's request is rejected: the message is for a person. */
export class OpsRejectedError extends Error {
  override readonly name = 'OpsRejectedError';
  constructor(
    readonly statusCode: 400 | 404 | 409,
    message: string,
  ) {
    super(message);
  }
}
