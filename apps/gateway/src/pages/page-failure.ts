/** Says that whoever asked is a person in front of a page; the answer is by `cause`, as for everybody else. */
export class PageFailure extends Error {
  override readonly name = 'PageFailure';
  constructor(override readonly cause: unknown) {
    super('a page could not be shown', { cause });
  }
}
