/** The environment variable that an operator would check. */
export type AddressName = 'AMQP_URL' | 'DATABASE_URL';

/** Tells an operator why the bus does not work. */
export interface ConnectionErrorExplanation {
  /** What is wrong, with which queue or table, and what to do. One line, without secrets. */
  sentence: string;
  /** The error is permanent: it does not go away without an operator. */
  requiresOperator: boolean;
}

export const transient = (sentence: string): ConnectionErrorExplanation => ({
  sentence,
  requiresOperator: false,
});
export const permanent = (sentence: string): ConnectionErrorExplanation => ({
  sentence,
  requiresOperator: true,
});
