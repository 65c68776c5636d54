/** How many sessions a system that knows any is asked as, in turn. */
export const SESSIONS_COUNT = 50;
