/**
 * A query for the numbers 0 to `count` - 1 in a column `n`, with which tables are filled quickly.
 * Neither server's own way works on the other, or without raising a limit.
 */
export function numbers(count: number): string {
  const digits = Math.max(1, Math.ceil(Math.log10(count)))
  const digit = (place: number) =>
    `(select 0 as d union all select 1 union all select 2 union all select 3 union all select 4
      union all select 5 union all select 6 union all select 7 union all select 8 union all select 9) as place${place}`
  const places = Array.from({ length: digits }, (_, place) => place)
  const sum = places.map((place) => `place${place}.d * ${10 ** place}`).join(' + ')
  return `select * from (select ${sum} as n from ${places.map(digit).join(' cross join ')}) as number where n < ${count}`
}
