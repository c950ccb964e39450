import { Bitrix24Error, isSplittable } from '@relay/bitrix24';

/** The portal accepts no calls for now, or none of ours: the error does not concern the type or the item. */
export function isPortalError(error: unknown): boolean {
  return (
    error instanceof Bitrix24Error &&
    (error.recovery === 'wait' || error.recovery === 'reauthorize' || error.errorClass === 'expired')
  );
}

/** The error of a request for one item concerns this item: it can be skipped. */
export function isItemError(error: unknown): boolean {
  return isSplittable(error) || (error instanceof Bitrix24Error && error.recovery === 'never');
}

/**
 * Call at the end of work that continued after such errors: all of it is retried.
 * @throws the first transient error
 */
export function throwIfTransient(errors: readonly unknown[]): void {
  const transient = errors.find(isTransient);
  if (transient !== undefined) throw transient;
}

/** A retry may have another result. A complete response with an undocumented format is not transient. */
function isTransient(error: unknown): boolean {
  return error instanceof Bitrix24Error && error.recovery === 'retry' && error.detail !== 'wrong-shape';
}
