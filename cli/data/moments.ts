/** Holds times as Parquet has them: whole numbers of a unit since 1970, with nothing rounded away. */

const DAY = 86_400_000;

/** A point in time. */
export class Moment {
  /** Of the unit. */
  readonly value: bigint;
  /** How many digits of a second a unit is: 3, 6 or 9. */
  readonly digits: 3 | 6 | 9;

  constructor(value: bigint, digits: 3 | 6 | 9) {
    this.value = value;
    this.digits = digits;
  }

  /** As ISO 8601 has it. */
  toJSON(): string {
    const unit = 10n ** BigInt(this.digits);
    const rest = ((this.value % unit) + unit) % unit;
    const seconds = new Date(Number((this.value - rest) / unit) * 1000).toISOString().slice(0, -5);
    return `${seconds}.${rest.toString().padStart(this.digits, "0")}Z`;
  }
}

/** A day. */
export class Day {
  /** Since 1970. */
  readonly days: number;

  constructor(days: number) {
    this.days = days;
  }

  /** As ISO 8601 has it. */
  toJSON(): string {
    return new Date(this.days * DAY).toISOString().slice(0, 10);
  }
}

/** A whole number of Parquet that stands for something else, such as a time of the day: a number of another input is none. */
export class Counted {
  readonly value: number | bigint;

  constructor(value: number | bigint) {
    this.value = value;
  }

  /** The number alone. */
  toJSON(): number {
    return Number(this.value);
  }
}
