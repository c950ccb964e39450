/** Marks a request of a person in front of a page; `cause` decides the response, as for other requests. */
export class PageFailure extends Error {
  override readonly name = 'PageFailure';
  constructor(override readonly cause: unknown) {
    super('a page could not be shown', { cause });
  }
}
