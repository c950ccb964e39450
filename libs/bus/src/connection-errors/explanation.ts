/** The variable that an operator would look at. */
export type AddressName = 'AMQP_URL' | 'DATABASE_URL';

/** What an operator is told of a bus that does not work. */
export interface ConnectionErrorExplanation {
  /** What is wrong, of which queue or table, and what to do. One line, without a secret. */
  sentence: string;
  /** Waiting does not mend it. */
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
