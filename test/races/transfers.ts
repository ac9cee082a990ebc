/** How many accounts there are; their ids count from 0. */
export const ACCOUNTS = 5

/** The money that a step moves. */
export interface Transfer {
  readonly from: number
  readonly to: number
  readonly amount: number
}

/** What step `step` moves: the same in every run. */
export function transferOf(step: number): Transfer {
  const from = (step * 7) % ACCOUNTS
  return { from, to: (from + 1 + (step % (ACCOUNTS - 1))) % ACCOUNTS, amount: 1 + ((step * 31) % 97) }
}

/** The balances after an uninterrupted run. */
export function balancesAfter(steps: number): number[] {
  const balances = new Array<number>(ACCOUNTS).fill(0)
  for (let step = 0; step < steps; step++) {
    const { from, to, amount } = transferOf(step)
    balances[from] = (balances[from] ?? 0) - amount
    balances[to] = (balances[to] ?? 0) + amount
  }
  return balances
}
