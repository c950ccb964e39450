/** An operator works on the same thing at this moment, here or at another gateway. */
export class OperationInProgressError extends Error {
  override readonly name = 'OperationInProgressError';
  readonly code = 'CARE_BUSY';
  constructor(consumer: string) {
    super(`Somebody else works on the dead letters of ${consumer} at this moment; try again`);
  }
}

/** Nothing on the bus has this name. */
export class NoSuchConsumerError extends Error {
  override readonly name = 'NoSuchConsumerError';
  readonly code = 'NO_SUCH_CONSUMER';
  constructor(consumer: string) {
    super(`The bus knows no consumer ${consumer}`);
  }
}
