/** What a thread is told of one signature: hash 32 | r 32 | s 32 | yParity 1. */
export const JOB_BYTES = 97

/** What it answers: found 0 or 1 | address 20. */
export const RESULT_BYTES = 21
