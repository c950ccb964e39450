/**
 * The moment at which new rows of `bus.messages` become due, as a table `stamp (at)` for a WITH clause. A transaction
 * that is stamped has its id already: the filter is evaluated before the column. `TakeCursors` relies on this order,
 * or it could skip a row that is committed late.
 */
export const STAMP_CTE =
  'stamp AS MATERIALIZED (SELECT clock_timestamp() AS at WHERE pg_current_xact_id() IS NOT NULL)';
