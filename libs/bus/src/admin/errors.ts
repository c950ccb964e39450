/** Another operation on the same object is running, from this gateway or another one. */
export class OperationInProgressError extends Error {
  override readonly name = 'OperationInProgressError';
  readonly code = 'CARE_BUSY';
  constructor(consumer: string) {
    super(`Somebody else works on the dead letters of ${consumer} at this moment; try again`);
  }
}

/** The bus has no consumer of this name. */
export class NoSuchConsumerError extends Error {
  override readonly name = 'NoSuchConsumerError';
  readonly code = 'NO_SUCH_CONSUMER';
  constructor(consumer: string) {
    super(`The bus knows no consumer ${consumer}`);
  }
}
