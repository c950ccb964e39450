import { Module } from '@nestjs/common';
import { PhoneFormatterController } from './phone-formatter.controller.js';

@Module({ controllers: [PhoneFormatterController] })
export class PhoneFormatterModule {}
