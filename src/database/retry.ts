import pRetry from 'p-retry'
import type { RetryOptions } from '../options.js'
import { type Failure, failureOf } from './failures.js'

/**
 * Runs `work`, and again after failures that repeating may mend, with exponential, jittered pauses.
 *
 * Expected contention and surprises have budgets of their own, so that a busy row does not use up
 * the patience meant for a server that restarts, and the other way round.
 *
 * @param operation - The public method, for the error's message.
 * @param repeatable - Whether `work` may be repeated although it may already have been carried out.
 * @throws the last failure as one of this package's errors, once its budget is spent.
 */
export async function withRetry<T>(
  operation: string,
  repeatable: boolean,
  budgets: RetryOptions,
  work: () => Promise<T>,
): Promise<T> {
  // Nearly every call succeeds at once, and should not pay for what it does not need.
  try {
    return await work()
  } catch (thrown) {
    return repeat(operation, repeatable, budgets, thrown, work)
  }
}

/** Goes on after a first attempt that threw `first`. */
function repeat<T>(
  operation: string,
  repeatable: boolean,
  budgets: RetryOptions,
  first: unknown,
  work: () => Promise<T>,
): Promise<T> {
  let { contention, connection } = budgets
  let failure: Failure | undefined
  return pRetry(
    async (attempt) => {
      failure = undefined
      try {
        if (attempt === 1) throw first
        return await work()
      } catch (thrown) {
        failure = failureOf(thrown, operation)
        throw failure.error
      }
    },
    {
      retries: contention + connection,
      shouldRetry: () => {
        if (failure?.kind === 'contention') return contention-- > 0
        if (failure?.kind === 'unsent' || (failure?.kind === 'unanswered' && repeatable)) return connection-- > 0
        return false
      },
      minTimeout: budgets.pause,
      maxTimeout: budgets.pause * 32,
      factor: 2,
      randomize: true,
    },
  )
}
